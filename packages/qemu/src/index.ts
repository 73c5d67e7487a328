export * from './acceleration.js';
export * from './arguments.js';
export * from './boot-sector.js';
export * from './firmware.js';
export * from './qmp.js';
export * from './screenshot.js';
