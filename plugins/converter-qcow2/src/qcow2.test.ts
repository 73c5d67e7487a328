import { describeConverter, qemuImgCheck, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { qcow2 } from './qcow2.js';
import { zstdAvailable } from './zstd.js';

describeConverter(qcow2, {
  oracles: [qemuImgCheck('qcow2'), qemuImgCompare('qcow2'), qemuImgSize('qcow2')],
  variants: {
    'compat 0.10': { compat: '0.10' },
    zlib: { compression: 'zlib' },
    'zlib, compat 0.10, level 9': { compression: 'zlib', compat: '0.10', level: 9 },
    '4 KiB clusters': { cluster: '4k' },
    '4 KiB clusters, zlib': { cluster: 4096, compression: 'zlib' },
    '2 MiB clusters': { cluster: '2M' },
    '2 MiB clusters, zlib': { cluster: '2M', compression: 'zlib' },
    ...(zstdAvailable ? { zstd: { compression: 'zstd' } } : {}),
  },
});
