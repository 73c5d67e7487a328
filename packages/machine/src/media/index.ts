export * from './extract-from-iso.js';
export * from './seed-medium.js';
