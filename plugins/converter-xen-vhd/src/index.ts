import { definePlugin } from '@polyvisor/core';
import { xenVhd } from './xen-vhd.js';

export { xenVhd };

export default definePlugin({ name: 'converter-xen-vhd', converters: [() => xenVhd] });
