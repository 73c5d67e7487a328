import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBuildKey } from './build-key.js';

describe('the key of a build', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-key-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('is one that OpenSSH reads, whole and with its comment', async () => {
    const key = createBuildKey();
    const path = join(directory, 'key');
    await key.writeTo(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(execFileSync('ssh-keygen', ['-y', '-f', path]).toString().trim()).toBe(key.publicKey);
    expect(key.publicKey).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]{68} polyvisor-build-[0-9a-f]{12}$/);
    expect(key.publicKey.split(' ')[1]).toBe(key.body);
  });

  it('is another one each time, and overwrites no file', async () => {
    const [one, other] = [createBuildKey(), createBuildKey()];
    expect(one.publicKey).not.toBe(other.publicKey);
    await one.writeTo(join(directory, 'key'));
    await expect(other.writeTo(join(directory, 'key'))).rejects.toMatchObject({ code: 'EEXIST' });
  });
});
