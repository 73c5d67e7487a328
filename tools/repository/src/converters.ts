import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DiskConverter, Plugin } from '@polyvisor/core';
import { compose } from '@polyvisor/host';
import { plugins, root } from './repository.js';

/** Every converter of this repository's plugins, as the host puts them together, from the sources. */
export async function loadConverters(): Promise<readonly DiskConverter[]> {
  const loaded = await Promise.all(
    plugins.map(async ({ folder, manifest }) => {
      const entry = pathToFileURL(join(root, folder, 'src/index.ts'));
      const { default: plugin } = (await import(entry.href)) as { default: Plugin };
      const { name, version } = manifest;
      return { package: name, version, origin: 'official', node: undefined, entry, plugin } as const;
    }),
  );
  return compose(loaded, { environment: {}, emit: () => undefined }).converters();
}
