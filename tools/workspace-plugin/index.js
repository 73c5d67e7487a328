export { default as converterGenerator } from './src/converter.js';
export { default as provisionerGenerator } from './src/provisioner.js';
