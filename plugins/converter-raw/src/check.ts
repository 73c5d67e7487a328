import { type Finding, type ImageFile, SECTOR_SIZE } from '@polyvisor/core';
import { foreignFormat } from './foreign.js';

/** A raw disk has no structure to break: what can be wrong is its length, or that it is none. */
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
  const foreign = await foreignFormat(file);
  if (foreign === undefined) return;
  yield {
    rule: 'raw-foreign',
    severity: 'warning',
    message: `the file begins like ${foreign}`,
    refusedBy: [],
    offset: 0,
    hint: 'if it is one, a machine that is given it as a raw disk does not boot',
  };
}
