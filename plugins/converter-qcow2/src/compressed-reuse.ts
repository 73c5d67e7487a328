import { type EntryLayout, compressedAt, isCompressed } from './entry.js';

/**
 * How often one table may point to the same compressed cluster. No writer known does so at all, and a table that did it in
 * every entry would make 512 GiB of one sector; up to this it gives no more than DEFLATE itself can.
 */
const MOST = 1024;

/** Position in the table of an entry whose compressed cluster is used more often than is decent; undefined for none. */
export function reusedTooOften(layout: EntryLayout, table: Buffer): number | undefined {
  const { entrySize } = layout;
  if (table.length / entrySize <= MOST) return undefined;
  let count = 0;
  for (let at = 0; at < table.length; at += entrySize) if (isCompressed(table, at)) count++;
  if (count <= MOST) return undefined;
  const places = new Float64Array(count);
  let next = 0;
  for (let at = 0; at < table.length; at += entrySize) {
    if (isCompressed(table, at)) places[next++] = compressedAt(layout, table, at).host;
  }
  places.sort();
  for (let index = MOST; index < count; index++) {
    const host = places[index];
    if (host !== places[index - MOST]) continue;
    for (let at = 0; at < table.length; at += entrySize) {
      if (isCompressed(table, at) && compressedAt(layout, table, at).host === host) return at;
    }
  }
  return undefined;
}
