import { createHash } from 'node:crypto';

/**
 * Tells when nothing new appears on a screen. Two pictures that alternate are a blinking cursor and count as still; a
 * countdown or a turning wheel shows ever more of them and does not.
 */
export class StillScreen {
  /** The picture on the screen and the one that it alternates with. */
  #known: readonly string[] = [];
  #since = 0;
  #again = 0;

  /** Takes a picture (PNG) seen at a time in milliseconds. Returns for how long nothing new was seen. */
  see(picture: Uint8Array, now: number): number {
    const hash = createHash('sha256').update(picture).digest('base64');
    if (this.#known.includes(hash)) {
      this.#again += 1;
      this.#known = [hash, ...this.#known.filter((one) => one !== hash)];
    } else {
      this.#known = [hash, ...this.#known].slice(0, 2);
      this.#since = now;
      this.#again = 0;
    }
    // A picture that was seen once may be anything.
    return this.#again === 0 ? 0 : now - this.#since;
  }
}
