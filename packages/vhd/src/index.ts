export { vhdBlockNode } from './block-node.js';
export { checkVhd } from './check/check.js';
export { VHD_CONSUMERS } from './check/consumers.js';
export { detectVhd } from './detect.js';
export { DynamicVhdWriter, type DynamicVhdTarget } from './dynamic-writer.js';
export { createFixedVhd, type VhdTarget } from './fixed-writer.js';
export type { Stamp } from './footer.js';
export { MAX_SIZE as VHD_MAX_SIZE } from './layout.js';
export { openVhd } from './open.js';
