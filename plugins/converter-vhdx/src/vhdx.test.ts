import { accepts, describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { vhdx } from './vhdx.js';

describeConverter(vhdx, {
  variants: {
    fixed: { subformat: 'fixed' },
    '1 MiB blocks, 512-byte physical sectors': { block: '1M', 'physical-sector': 512 },
  },
  oracles: [
    qemuImgCheck('vhdx'),
    qemuImgCompare('vhdx'),
    qemuImgSize('vhdx'),
    accepts(
      'vhdiinfo',
      'libvhdi-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Media size\\s*: .*\\(${size} bytes\\)`),
    ),
  ],
});
