export { compose, createHost, type HostOptions } from './compose.js';
export type { Recognition } from './detect.js';
export type { Origin } from './discovery.js';
export { type ContributionDescription, type Host, optionsSchema, type PluginDescription } from './host.js';
export { type Project, readProject } from './project-file.js';
