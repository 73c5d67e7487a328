import { definePlugin } from '@polyvisor/core';
import { ova } from './ova.js';
import { ovf } from './ovf-converter.js';

export type { ManifestEntry } from './manifest.js';
export { ova, ovf };
export { verifyManifest } from './reader.js';

export default definePlugin({ name: 'converter-ova', converters: [() => ova, () => ovf] });
