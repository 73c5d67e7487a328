import { type Finding, type ImageFile, SECTOR_SIZE } from '@polyvisor/core';

/** A raw disk has no structure to break: only its length can be wrong. */
export async function* checkRaw(file: ImageFile): AsyncGenerator<Finding> {
  if (file.size === 0) {
    yield {
      rule: 'raw-empty',
      severity: 'error',
      message: 'the file is empty',
      refusedBy: ['kvm', 'cloudstack'],
      offset: 0,
    };
    return;
  }
  if (file.size % SECTOR_SIZE !== 0) {
    yield {
      rule: 'raw-size',
      severity: 'warning',
      message: 'the file does not end with a whole sector; QEMU shows the guest zeros behind it',
      refusedBy: [],
      offset: file.size,
      expected: `a multiple of ${SECTOR_SIZE} bytes`,
      found: `${file.size}`,
      hint: 'the file may be cut short',
    };
  }
}
