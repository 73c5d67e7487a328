import { definePlugin } from '@polyvisor/core';
import { raw } from './raw.js';

export { raw };

export default definePlugin({ name: 'converter-raw', converters: [() => raw] });
