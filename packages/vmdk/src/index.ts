export type { AdapterType } from './descriptor.js';
export { GRAIN_SIZE, MAX_CAPACITY, MAX_FILE_SIZE } from './layout.js';
export * from './stream-reader.js';
export * from './stream-writer.js';
