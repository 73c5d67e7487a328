import { zstdCanCompress } from '@polyvisor/core';
import { describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { qcow2 } from './qcow2.js';

describeConverter(qcow2, {
  oracles: [qemuImgCheck('qcow2'), qemuImgCompare('qcow2'), qemuImgSize('qcow2')],
  variants: {
    'zlib, compat 0.10': { compression: 'zlib', compat: '0.10' },
    '4 KiB clusters, zlib': { cluster: 4096, compression: 'zlib' },
    '2 MiB clusters, zlib': { cluster: '2M', compression: 'zlib' },
    ...((await zstdCanCompress()) ? { zstd: { compression: 'zstd' } } : {}),
  },
});
