import { definePlugin } from '@polyvisor/core';
import { vmdk } from './vmdk.js';

export { vmdk };

export default definePlugin({ name: 'converter-vmdk', converters: [() => vmdk] });
