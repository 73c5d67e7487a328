import type { Finding } from '@polyvisor/core';
import type { HeaderFields } from './header-fields.js';
import { COMPRESSION_ZSTD, INCOMPATIBLE } from './layout.js';

/** What of an image's mapping matters to consumers. */
export interface Shape {
  /** Guest-visible, in bytes. */
  readonly size: number;
  /** Compressed clusters of the active disk. */
  readonly compressed: number;
  /** Others that hold data. */
  readonly dataClusters: number;
  /** The data follows the last table, in one piece. */
  readonly streamable: boolean;
}

/** XCP-ng's limit, see its storage documentation. */
const XCP_MAX_SIZE = 16_381 * 1024 ** 3;

function finding(
  rule: string,
  severity: Finding['severity'],
  message: string,
  rest: Partial<Pick<Finding, 'refusedBy' | 'expected' | 'found' | 'hint'>>,
): Finding {
  return { rule: `qcow2-${rule}`, severity, message, refusedBy: [], ...rest };
}

/** What one consumer wants of an image that is sound for QEMU. */
export function* consumerRules(consumer: string, fields: HeaderFields, shape: Shape): Generator<Finding> {
  if (consumer === 'kvm') yield* kvmRules(fields);
  if (consumer === 'xcp-ng') yield* xcpRules(fields, shape);
  if (consumer === 'cloudstack') yield* cloudstackRules(fields);
}

function* kvmRules({ compressionType }: HeaderFields): Generator<Finding> {
  if (compressionType === COMPRESSION_ZSTD) {
    yield finding('zstd', 'warning', 'zstd needs QEMU 5.1 or newer, built with it', {
      hint: 'write it with compression=zlib for older hosts',
    });
  }
}

function* xcpRules(fields: HeaderFields, shape: Shape): Generator<Finding> {
  const refusedBy = ['xcp-ng'];
  const hint = 'write it with --to xen-qcow2';
  if (fields.backingOffset !== 0n && fields.backingSize > 0) {
    yield finding('backing-file', 'error', 'the image is an overlay: an import takes whole disks only', {
      refusedBy,
      hint: 'flatten it: polyvisor convert --parent …',
    });
  }
  if (shape.compressed > 0) {
    yield finding('compressed', 'error', 'XCP-ng reads no compressed clusters', {
      refusedBy,
      expected: 'none',
      found: `${shape.compressed}`,
      hint,
    });
  }
  if ((fields.incompatible & INCOMPATIBLE.extendedL2) !== 0n) {
    yield finding('extended-l2', 'error', 'XCP-ng reads no sub-clusters', { refusedBy, hint });
  }
  if (fields.clusterBits !== 16) {
    yield finding('cluster-size', 'warning', 'older versions of the storage manager take clusters of 64 KiB only', {
      expected: '65536',
      found: `${2 ** fields.clusterBits}`,
      hint,
    });
  }
  if (shape.size > XCP_MAX_SIZE) {
    yield finding('xcp-size', 'error', 'larger than XCP-ng takes', {
      refusedBy,
      expected: `at most ${XCP_MAX_SIZE}`,
      found: `${shape.size}`,
    });
  }
  if (shape.compressed === 0 && !shape.streamable) {
    const what =
      shape.dataClusters === 0 ? 'the disk has no data at all' : 'the data does not follow the tables in one piece';
    yield finding('not-streamable', 'warning', `${what}, so an import that reads from a pipe fails`, {
      refusedBy,
      hint,
    });
  }
}

function* cloudstackRules(fields: HeaderFields): Generator<Finding> {
  if (fields.backingOffset !== 0n && fields.backingSize > 0) {
    yield finding(
      'backing-file',
      'error',
      'templates and volumes with a backing file are refused, as they could name any file of the host',
      {
        refusedBy: ['cloudstack'],
        hint: 'flatten it: polyvisor convert --parent …',
      },
    );
  }
  if (fields.version !== 2) {
    yield finding('version-3', 'warning', 'old CloudStack and its system VMs read version 2 only', {
      expected: '2 (compat=0.10)',
      found: `${fields.version}`,
      hint: 'write it with --to qcow2:compat=0.10 if the hosts are old',
    });
  }
}
