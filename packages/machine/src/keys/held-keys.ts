import type { Key, KeyName } from '../key.js';

/** Which keys are down behind these, in the order in which they went down. */
export function heldAfter(keys: readonly Key[], before: Iterable<KeyName> = []): readonly KeyName[] {
  const held = new Set(before);
  for (const { name, action } of keys) {
    if (action === 'down') held.add(name);
    else held.delete(name);
  }
  return [...held];
}

/**
 * Which keys may be down when nobody knows how many of these were pressed, those that matter most last. Letting go of a key
 * that is up does nothing.
 */
export function maybeHeld(keys: readonly Key[], before: Iterable<KeyName> = []): readonly KeyName[] {
  const around = keys.flatMap(({ with: names = [] }) => names);
  const typed = keys.map(({ name }) => name);
  return [...new Set([...before, ...around, ...typed])].reverse();
}

/** Most keys that are pressed in one go, so that a long text shows progress and ends soon when it is cancelled. */
const BATCH = 64;

/** Cuts where no key is held: a guest that is slow between two batches must not see a key repeat. */
export function* batches(keys: readonly Key[], heldBefore: Iterable<KeyName> = []): Generator<readonly Key[]> {
  const held = new Set(heldBefore);
  let batch: Key[] = [];
  for (const key of keys) {
    batch.push(key);
    if (key.action === 'down') held.add(key.name);
    else held.delete(key.name);
    if (batch.length >= BATCH && held.size === 0) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}
