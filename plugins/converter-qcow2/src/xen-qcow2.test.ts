import { accepts, describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { xenQcow2 } from './xen-qcow2.js';

// qemu-img compare wants equal sizes or zeros behind the end, which is what the rounding gives.
describeConverter(xenQcow2, {
  oracles: [
    qemuImgCheck('qcow2'),
    qemuImgCompare('qcow2'),
    qemuImgSize('qcow2'),
    accepts(
      'qcowinfo',
      'libqcow-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Media size.*\\b${size} bytes`),
    ),
  ],
  // All its L2 tables are in use; those of 16 TiB would be read for two minutes.
  largest: 2 ** 37,
  // It is a qcow2 image as others are, and the converter of that name claims it.
  knownLimits: ['unrecognisable'],
});
