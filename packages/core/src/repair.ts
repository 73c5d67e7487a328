/** Bytes of an image that a repair replaces, and why. */
export interface Patch {
  /** In bytes from the start of the file; may lie at its end, which then grows. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** For people: what was wrong and what it is now. Patches with the same reason are told once. */
  readonly reason: string;
}
