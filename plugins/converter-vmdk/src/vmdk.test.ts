import {
  accepts,
  describeConverter,
  qemuImgCheck,
  qemuImgCompare,
  qemuImgSize,
  vboxManageReads,
} from '@polyvisor/testkit';
import { vmdk } from './vmdk.js';

describeConverter(vmdk, {
  variants: {
    'sparse, for use in place': { subformat: 'monolithicSparse', adapter: 'ide', cid: '12ab34cd' },
    'sparse parts': { subformat: 'twoGbMaxExtentSparse', grain: '16k' },
    'flat parts': { subformat: 'twoGbMaxExtentFlat', adapter: 'buslogic' },
    'for a datastore': { subformat: 'vmfs', adapter: 'pvscsi', uuid: '6000c292-94ea-4d5c-9c68-d35b3c5a6d3f' },
  },
  oracles: [
    qemuImgCompare('vmdk'),
    qemuImgCheck('vmdk'),
    qemuImgSize('vmdk'),
    vboxManageReads('VMDK'),
    accepts(
      'vmdkinfo',
      'libvmdk-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Media size:\\s+.*\\(${size} bytes\\)`),
    ),
  ],
});
