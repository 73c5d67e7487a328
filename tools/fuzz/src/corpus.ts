import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { MAX_INPUT } from './mutate.js';

/** Inputs that are kept: `<format>/<name>.gz`, so that an image of some MiB, most of it zeros, takes a few KiB. */
export const CORPUS = fileURLToPath(new URL('../corpus', import.meta.url));

export interface KeptInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export async function readInputs(folder: string): Promise<readonly KeptInput[]> {
  const names = await readdir(folder).catch(() => []);
  return Promise.all(
    names
      .filter((name) => name.endsWith('.gz'))
      .sort()
      .map(async (name) => ({
        name,
        bytes: new Uint8Array(gunzipSync(await readFile(join(folder, name)), { maxOutputLength: MAX_INPUT })),
      })),
  );
}

/** Keeps an input under a name made of its content. Returns its path. */
export async function keepInput(folder: string, bytes: Uint8Array): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.gz`);
  await writeFile(path, gzipSync(bytes, { level: 9 }));
  return path;
}
