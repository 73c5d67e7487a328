import { available, describeHypervisor, vboxManage } from '@polyvisor/testkit';
import { describe } from 'vitest';
import { VirtualBox, virtualboxCapabilities } from './hypervisor.js';
import { virtualboxOptions } from './options.js';
import { vdiImages } from './vdi-images.test-support.js';

const tested = available(vboxManage(), 'virtualbox (the set-up of `npm test` brings it, or says why it does not)');

// The interpreter everywhere, for equal results on computers with and without the kernel driver.
const options = virtualboxOptions.parse({ vboxmanage: vboxManage(), 'execution-engine': 'interpreter' });

describe.runIf(tested)('machines in VirtualBox', () => {
  describeHypervisor((context) => new VirtualBox(context, options), {
    capabilities: virtualboxCapabilities,
    images: vdiImages,
  });
});
