import { accepts, describeConverter, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { hypervVhd } from './hyperv-vhd.js';

describeConverter(hypervVhd, {
  variants: {
    fixed: { subformat: 'fixed' },
    azure: { azure: true },
    'dynamic without holes': { sparse: 'never' },
  },
  oracles: [
    qemuImgCompare('vpc'),
    qemuImgSize('vpc'),
    accepts(
      'vhdiinfo',
      'libvhdi-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Media size\\s*: .*\\(${size} bytes\\)|Media size\\s*: ${size} bytes`),
    ),
  ],
});
