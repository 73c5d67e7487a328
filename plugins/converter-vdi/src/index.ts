import { definePlugin } from '@polyvisor/core';
import { vdi } from './vdi.js';

export { vdi };

export default definePlugin({ name: 'converter-vdi', converters: [() => vdi] });
