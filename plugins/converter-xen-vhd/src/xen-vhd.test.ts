import { accepts, describeConverter, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { xenVhd } from './xen-vhd.js';

describeConverter(xenVhd, {
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
