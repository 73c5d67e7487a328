export * from './context.js';
export * from './describe-converter.js';
export * from './describe-provisioner.js';
export * from './facts.js';
export * from './fake-tool.js';
export * from './memory.js';
export * from './oracles.js';
export * from './shapes.js';
