import { readGuid } from './guid.js';
import { PARENT_LOCATOR } from './layout.js';

/** What a differencing disk says about its parent. All of it is text from the file: shown, compared, never opened. */
export interface ParentLocator {
  /** `DataWriteGuid` that the parent must have, in lower case without braces. */
  readonly linkage: string;
  /** A second one that will do, written when a parent is about to change its own. */
  readonly linkage2: string | undefined;
  /** Paths, in the order in which Windows tries them. */
  readonly names: readonly string[];
}

const PATHS = ['relative_path', 'volume_path', 'absolute_win32_path'] as const;
const KEYS: readonly string[] = ['parent_linkage', 'parent_linkage2', ...PATHS];
const LONGEST_KEY = Math.max(...KEYS.map((key) => key.length)) * 2;

const GUID = /^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i;

/** Decodes a locator of a parent in another VHDX ([MS-VHDX] 2.6.2.6); undefined when it is none, or is damaged. */
export function readParentLocator(bytes: Buffer): ParentLocator | undefined {
  if (bytes.length < PARENT_LOCATOR.entries || readGuid(bytes, 0) !== PARENT_LOCATOR.type) return undefined;
  const count = bytes.readUInt16LE(PARENT_LOCATOR.count);
  if (PARENT_LOCATOR.entries + count * PARENT_LOCATOR.entrySize > bytes.length) return undefined;
  const values = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const at = PARENT_LOCATOR.entries + index * PARENT_LOCATOR.entrySize;
    const [keyOffset, valueOffset] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
    const [keyLength, valueLength] = [bytes.readUInt16LE(at + 8), bytes.readUInt16LE(at + 10)];
    if (keyOffset + keyLength > bytes.length || valueOffset + valueLength > bytes.length) return undefined;
    // Many entries may share one long text: only what is wanted is decoded, and each of it once.
    if (keyLength > LONGEST_KEY) continue;
    const key = bytes.toString('utf16le', keyOffset, keyOffset + keyLength);
    if (!KEYS.includes(key)) continue;
    if (values.has(key)) return undefined;
    values.set(key, bytes.toString('utf16le', valueOffset, valueOffset + valueLength));
  }
  const guidOf = (key: string) => GUID.exec(values.get(key) ?? '')?.[1]?.toLowerCase();
  const linkage = guidOf('parent_linkage');
  if (linkage === undefined) return undefined;
  return { linkage, linkage2: guidOf('parent_linkage2'), names: PATHS.flatMap((path) => values.get(path) ?? []) };
}
