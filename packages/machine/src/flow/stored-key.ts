import { writeFile } from 'node:fs/promises';
import type { BuildKey } from '../ssh/build-key.js';

export type { BuildKey };

/** A build key as it lies beside the disk that it opens. */
export type StoredKey = Pick<BuildKey, 'publicKey' | 'privateKey'>;

/** Throws when that is not what was stored. */
export function buildKeyFrom({ publicKey, privateKey }: StoredKey): BuildKey {
  const body = /^ssh-\S+ ([A-Za-z0-9+/=]+)(?: |$)/.exec(publicKey)?.[1];
  if (body === undefined || !privateKey.startsWith('-----BEGIN OPENSSH PRIVATE KEY-----'))
    throw new Error('its key is damaged');
  return {
    publicKey,
    body,
    privateKey,
    writeTo: (path) => writeFile(path, privateKey, { mode: 0o600, flag: 'wx' }),
  };
}
