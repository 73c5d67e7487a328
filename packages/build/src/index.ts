export type { BootImageOptions } from './boot-image.js';
export { bootImage } from './boot-image.js';
export type { Observe } from './build-log.js';
export { build } from './build.js';
export { applianceStem, artifactNames } from './names.js';
export type {
  BootCheckMode,
  BootResult,
  BootSettings,
  BuildOptions,
  BuildResult,
  BuildTarget,
  OnError,
} from './options.js';
export type { SealOperation } from './seal/operations.js';
export { SEAL_OPERATION_NAMES, SEAL_OPERATIONS } from './seal/operations.js';
export { sealScript } from './seal/script.js';
