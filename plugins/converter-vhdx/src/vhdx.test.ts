import {
  accepts,
  describeConverter,
  qemuImgCheck,
  qemuImgCompare,
  qemuImgSize,
  vboxManageReads,
} from '@polyvisor/testkit';
import { vhdx } from './vhdx.js';

describeConverter(vhdx, {
  variants: {
    'fixed, 1 MiB blocks, 512-byte physical sectors': { subformat: 'fixed', block: '1M', 'physical-sector': 512 },
  },
  oracles: [
    qemuImgCheck('vhdx'),
    qemuImgCompare('vhdx'),
    qemuImgSize('vhdx'),
    vboxManageReads('VHDX'),
    accepts(
      'vhdiinfo',
      'libvhdi-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Media size\\s*: .*\\(${size} bytes\\)`),
    ),
  ],
});
