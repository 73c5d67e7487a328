import { createHash } from 'node:crypto';

/**
 * The guest is new, so whichever key its SSH server has is taken at the first login. From then on it must be the same: the
 * port may meanwhile belong to somebody else's machine. A guest that restarted as it was told to may have made new keys, and
 * is believed as long as it takes this build's key; no password is sent to a server that changed.
 */
export class HostKeys {
  #pinned: Buffer | undefined;
  #lenient = false;

  /** Whether a server with this key may be spoken to at all. */
  accepts(key: Buffer): boolean {
    return this.#pinned === undefined || this.#lenient || this.isPinned(key);
  }

  /** Whether a password may be sent to a server with this key. */
  trustsWithPassword(key: Buffer): boolean {
    return this.#pinned === undefined || this.isPinned(key);
  }

  isPinned(key: Buffer): boolean {
    return this.#pinned?.equals(key) === true;
  }

  /** After a login: it was the guest. Returns whether the key is another one than before. */
  pin(key: Buffer): boolean {
    const changed = this.#pinned !== undefined && !this.isPinned(key);
    this.#pinned = Buffer.from(key);
    this.#lenient = false;
    return changed;
  }

  /** Before a restart that was asked for. */
  expectRestart(): void {
    this.#lenient = true;
  }
}

/** As `ssh-keygen -l` prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}
