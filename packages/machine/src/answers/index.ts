export * from './answer-request.js';
export * from './answer-server.js';
export * from './expand-command.js';
export * from './expand-values.js';
export * from './render-answers.js';
export * from './values.js';
export * from './wait-for-fetch.js';
