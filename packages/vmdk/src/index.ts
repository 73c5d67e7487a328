export type { AdapterType, CreateType } from './descriptor.js';
export { GRAIN_SIZE, MAX_CAPACITY, MAX_FILE_SIZE, MAX_GRAIN_SECTORS, SECTOR } from './layout.js';
export * from './open.js';
export * from './several-files-writer.js';
export * from './sparse-writer.js';
export * from './stream-reader.js';
export * from './stream-writer.js';
