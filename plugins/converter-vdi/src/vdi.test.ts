import { describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize, vboxManageReads } from '@polyvisor/testkit';
import { vdi } from './vdi.js';

describeConverter(vdi, {
  oracles: [qemuImgCheck('vdi'), qemuImgCompare('vdi'), qemuImgSize('vdi'), vboxManageReads('VDI')],
  variants: { fixed: { subformat: 'fixed', comment: 'two words' } },
});
