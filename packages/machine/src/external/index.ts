export * from './check-netboot.js';
export * from './checksum.js';
export * from './obtain-file.js';
