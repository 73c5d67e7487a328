export type { BootImageOptions } from './boot-image.js';
export { bootImage } from './boot-image.js';
export type { Observe } from './build-log.js';
export { build } from './build.js';
export type { PassedOver, SourceChoice } from './choose-source.js';
export { chooseSource } from './choose-source.js';
export type { FindProvisioner } from './discard.js';
export type { Answer, Leavings } from './failure.js';
export type { Leftover, LeftoverPlaces } from './leftovers.js';
export { findLeftovers, originalName, removeLeftover } from './leftovers.js';
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
export { sourceText } from './source-text.js';
export type { WorkState } from './work-state.js';
