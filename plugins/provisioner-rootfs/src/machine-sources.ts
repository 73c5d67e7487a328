import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AptSource, parseDeb822, parseSourcesList } from './mirror.js';

/** What the apt of this machine is set up to use; empty where there is no apt. */
export async function machineSources(etc = '/etc/apt'): Promise<AptSource[]> {
  const parts = join(etc, 'sources.list.d');
  const names = (await readdir(parts).catch(() => [])).sort();
  const files = [join(etc, 'sources.list'), ...names.map((name) => join(parts, name))];
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, 'utf8').catch(() => '');
      if (file.endsWith('.list')) return parseSourcesList(text);
      return file.endsWith('.sources') ? parseDeb822(text) : [];
    }),
  );
  return found.flat();
}
