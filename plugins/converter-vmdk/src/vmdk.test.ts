import { describeConverter } from '@polyvisor/testkit';
import { vmdk } from './vmdk.js';

// Fails until the writer and the reader do their work. Name programs that know the format under `oracles`.
describeConverter(vmdk, { oracles: [] });
