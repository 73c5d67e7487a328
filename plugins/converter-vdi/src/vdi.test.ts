import { describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { vdi } from './vdi.js';

describeConverter(vdi, {
  oracles: [qemuImgCheck('vdi'), qemuImgCompare('vdi'), qemuImgSize('vdi')],
  variants: { fixed: { subformat: 'fixed', comment: 'two words' } },
});
