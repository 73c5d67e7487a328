import { describeConverter, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { openImageFile } from '@polyvisor/core';
import { ova } from './ova.js';

const inPlace = async (image: string) => {
  await using file = await openImageFile(image);
  return (await ova.blockNode?.(file)) ?? {};
};

describeConverter(ova, {
  oracles: [qemuImgCompare(inPlace), qemuImgSize(inPlace)],
  variants: {
    'for VirtualBox, smallest': { flavour: 'virtualbox', controller: 'sata', level: 9, manifest: 'sha1' },
  },
});
