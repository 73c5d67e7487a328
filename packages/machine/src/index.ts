export * from './console.js';
export * from './key.js';
export * from './machine.js';
