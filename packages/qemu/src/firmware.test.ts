import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareUefi } from './firmware.js';

describe('prepareUefi', () => {
  it('takes the first complete pair and copies only the variables', async () => {
    const root = await mkdtemp(join(tmpdir(), 'firmware-'));
    try {
      await writeFile(join(root, 'lonely.fd'), '');
      await writeFile(join(root, 'code.fd'), 'code');
      await writeFile(join(root, 'vars.fd'), 'vars');
      const files = await prepareUefi(root, [
        [join(root, 'lonely.fd'), join(root, 'missing.fd')],
        [join(root, 'code.fd'), join(root, 'vars.fd')],
      ]);
      expect(files.code).toBe(join(root, 'code.fd'));
      expect(files.variables).not.toBe(join(root, 'vars.fd'));
      expect(await readFile(files.variables, 'utf8')).toBe('vars');
    } finally {
      await rm(root, { recursive: true });
    }
  });

  it('says what to install when there is none', async () => {
    await expect(prepareUefi('/tmp', [['/none/code.fd', '/none/vars.fd']])).rejects.toMatchObject({
      code: 'firmware-missing',
      hint: expect.stringContaining('ovmf') as string,
    });
  });
});
