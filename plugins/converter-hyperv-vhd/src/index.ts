import { definePlugin } from '@polyvisor/core';
import { hypervVhd } from './hyperv-vhd.js';

export { hypervVhd };

export default definePlugin({ name: 'converter-hyperv-vhd', converters: [() => hypervVhd] });
