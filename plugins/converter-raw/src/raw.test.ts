import { describeConverter, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { raw } from './raw.js';

describeConverter(raw, {
  oracles: [qemuImgCompare('raw'), qemuImgSize('raw')],
  knownLimits: ['unrecognisable', 'no-redundancy'],
});
