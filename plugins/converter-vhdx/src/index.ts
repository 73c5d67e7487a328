import { definePlugin } from '@polyvisor/core';
import { vhdx } from './vhdx.js';

export { vhdx };

export default definePlugin({ name: 'converter-vhdx', converters: [() => vhdx] });
