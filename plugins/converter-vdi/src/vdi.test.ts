import { describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize, vboxManageReads } from '@polyvisor/testkit';
import { vdi } from './vdi.js';

describeConverter(vdi, {
  oracles: [qemuImgCheck('vdi'), qemuImgCompare('vdi'), qemuImgSize('vdi'), vboxManageReads('VDI')],
  // A map is read whole before it is trusted; that of the largest disk has 2 GiB.
  largest: 2 ** 41,
  variants: { fixed: { subformat: 'fixed', comment: 'two words' } },
});
