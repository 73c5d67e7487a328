import { describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize, vboxManageReads } from '@polyvisor/testkit';
import { vdi } from './vdi.js';

describeConverter(vdi, {
  oracles: [qemuImgCheck('vdi'), qemuImgCompare('vdi'), qemuImgSize('vdi'), vboxManageReads('VDI')],
  // The map of 512 TiB alone has 2 GiB.
  largest: 2 ** 45,
  variants: { fixed: { subformat: 'fixed', comment: 'two words' } },
});
