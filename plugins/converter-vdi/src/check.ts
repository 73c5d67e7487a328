import type { CheckOptions, Finding, ImageFile } from '@polyvisor/core';
import { type Fields, hasSignature, isKnownVersion, readFields, readVersion } from './fields.js';
import { ENTRY_SIZE, HEADER_1, PRELUDE, SIGNATURE } from './layout.js';
import { canSurvey, surveyMap, type Trouble } from './map-survey.js';
import { CONSUMERS, headerFindings } from './rules.js';

/** Every rule of the format, of VirtualBox and of QEMU. Reads the header and the map. */
export async function* checkVdi(file: ImageFile, { signal }: CheckOptions): AsyncGenerator<Finding> {
  if (!(await hasSignature(file))) {
    yield {
      rule: 'vdi-signature',
      severity: 'error',
      message: 'the file has no signature of a VDI',
      refusedBy: CONSUMERS,
      offset: PRELUDE.signature,
      expected: `0x${SIGNATURE.toString(16)}`,
      found: file.size < PRELUDE.size ? `a file of ${file.size} bytes` : 'something else',
    };
    return;
  }
  const version = await readVersion(file);
  if (!isKnownVersion(version)) {
    yield {
      rule: 'vdi-version',
      severity: 'error',
      message: 'the version is unknown',
      refusedBy: CONSUMERS,
      offset: PRELUDE.version,
      expected: '1.1',
      found: `${version >>> 16}.${version & 0xffff}`,
    };
    return;
  }
  const fields = await readFields(file);
  if (fields === undefined) {
    yield {
      rule: 'vdi-header-truncated',
      severity: 'error',
      message: 'the file ends within its header',
      refusedBy: CONSUMERS,
      offset: file.size,
    };
    return;
  }
  yield* headerFindings(fields);
  yield* mapFindings(file, fields, signal);
}

async function* mapFindings(file: ImageFile, fields: Fields, signal: AbortSignal): AsyncGenerator<Finding> {
  const { mapOffset, blocks, places } = fields;
  if (mapOffset + blocks * ENTRY_SIZE > file.size) {
    yield {
      rule: 'vdi-map-truncated',
      severity: 'error',
      message: 'the file ends within its map',
      refusedBy: CONSUMERS,
      offset: HEADER_1.mapOffset,
      expected: `a file of at least ${mapOffset + blocks * ENTRY_SIZE} bytes`,
      found: `${file.size}`,
    };
  }
  if (!canSurvey(file, fields)) return;
  const { allocated, highest, duplicate, outside } = await surveyMap(file, fields, signal);
  if (duplicate !== undefined) {
    yield {
      ...about(duplicate),
      rule: 'vdi-block-twice',
      severity: 'error',
      message: `a block of the file holds two blocks of the disk${more(duplicate)}`,
      refusedBy: [],
      expected: 'a block of its own',
      hint: 'one of the two is lost; convert the image while it can be read, and check the file systems on it',
    };
  }
  if (outside !== undefined) {
    yield {
      ...about(outside),
      rule: 'vdi-block-outside',
      severity: 'error',
      message: `a block of the disk lies beyond the end of the file${more(outside)}`,
      // VirtualBox refuses the read, QEMU gives zeros.
      refusedBy: ['virtualbox'],
      expected: `an end of at most ${file.size}`,
      hint: 'the file was cut short; get it once more',
    };
  }
  if (allocated !== fields.allocated) {
    yield {
      rule: 'vdi-allocated-count',
      severity: 'error',
      message: 'the number of blocks that are stored is wrong',
      refusedBy: [],
      offset: places.allocated,
      expected: `${allocated}`,
      found: `${fields.allocated}`,
    };
  }
  if (highest >= Math.max(allocated, fields.allocated)) {
    yield {
      rule: 'vdi-block-beyond-count',
      severity: 'error',
      message: 'a block lies where VirtualBox will put the next one that it allocates',
      refusedBy: [],
      offset: places.allocated,
      expected: `blocks 0 to ${Math.max(allocated, fields.allocated) - 1} of the file`,
      found: `block ${highest}`,
      hint: 'convert the image to vdi again before a machine writes to it',
    };
  }
}

function about({ entry, offset }: Trouble): Pick<Finding, 'offset' | 'found'> {
  return { offset, found: `block ${entry} of the file` };
}

function more({ count }: Trouble): string {
  return count === 1 ? '' : `, and so do ${count - 1} more`;
}
