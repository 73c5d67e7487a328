import type { DiskConverter, DiskSource, Finding } from '@polyvisor/core';
import { readPartitions, type TableProblem } from '../partitions.js';

/** Rules about what is on a disk, whatever the format of the image. None of them makes anybody refuse the image. */
export async function* diskFindings(
  disk: DiskSource,
  converter: DiskConverter,
  consumer: string | undefined,
): AsyncGenerator<Finding> {
  const table = await readPartitions(disk);
  for (const { kind, message } of table.problems) yield { ...RULES[kind], message, refusedBy: [] };
  if (consumer !== 'hyperv') return;
  const hasEfi = table.partitions.some(({ type }) => type === 'EFI system');
  const isGeneration2 = table.kind === 'gpt' && hasEfi;
  const canBios = table.kind === 'mbr' || table.partitions.some(({ type }) => type === 'BIOS boot');
  if (table.kind !== 'none' && !isGeneration2 && converter.extension === GENERATION_2) {
    yield {
      rule: 'disk-hyperv-generation',
      severity: 'warning',
      message: `this disk starts in a generation 1 virtual machine only`,
      refusedBy: [],
      expected: 'a GPT with an EFI system partition, for generation 2',
      found: `${table.kind === 'gpt' ? 'a GPT' : 'an MBR'} ${hasEfi ? 'with an' : 'without'} EFI system partition`,
      hint: 'create the virtual machine with -Generation 1; it cannot be changed afterwards',
    };
  }
  if (isGeneration2 && !canBios && converter.extension !== GENERATION_2) {
    yield {
      rule: 'disk-hyperv-generation',
      severity: 'warning',
      message: 'this disk starts under UEFI only, in a generation 2 virtual machine, which does not take such a file',
      refusedBy: [],
      expected: `a ${GENERATION_2} file`,
      found: `a ${converter.extension} file`,
      hint: 'convert it to VHDX, or make the disk bootable under BIOS as well',
    };
  }
}

/** Hyper-V tells the formats by the extension, and takes no other for generation 2. */
const GENERATION_2 = '.vhdx';

const RULES: Readonly<Record<TableProblem['kind'], Pick<Finding, 'rule' | 'severity' | 'hint'>>> = {
  outside: {
    rule: 'disk-partition-outside',
    severity: 'error',
    hint: 'the disk was cut off, or is shorter than the one that was partitioned: look for the whole image',
  },
  checksum: {
    rule: 'disk-gpt-checksum',
    severity: 'warning',
    hint: 'let the guest, or a tool such as sgdisk or gdisk, restore it from the backup at the end of the disk',
  },
  backup: {
    rule: 'disk-gpt-backup',
    severity: 'warning',
    hint: 'move it in the guest with `sgdisk --move-second-header`; systems start without it, some tools complain',
  },
  shortened: {
    rule: 'disk-gpt-backup',
    severity: 'warning',
    hint: 'the disk was cut off: look for the whole image; was it shortened on purpose, let gdisk write the table anew',
  },
  invalid: {
    rule: 'disk-gpt-invalid',
    severity: 'error',
    hint: 'let a tool such as gdisk restore it from the backup at the end of the disk',
  },
};
