import { definePlugin } from '@polyvisor/core';
import { createQemuBooter } from './booter.js';

export { createQemuBooter };

export default definePlugin({ name: 'booter-qemu', booters: [(context) => createQemuBooter(context)] });
