export * from './describe-converter.js';
export * from './facts.js';
export * from './memory.js';
export * from './oracles.js';
export * from './shapes.js';
