import { definePlugin } from '@polyvisor/core';
import { qcow2 } from './qcow2.js';
import { xenQcow2 } from './xen-qcow2.js';

export { qcow2, xenQcow2 };

export default definePlugin({ name: 'converter-qcow2', converters: [() => qcow2, () => xenQcow2] });
