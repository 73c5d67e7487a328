import { definePlugin } from '@polyvisor/core';
import { ova } from './ova.js';

export type { ManifestEntry } from './manifest.js';
export { ova };
export { verifyManifest } from './reader.js';

export default definePlugin({ name: 'converter-ova', converters: [() => ova] });
