/** How a part of the disk is stored, as an extent line says it. */
export interface ExtentLine {
  readonly access: 'RW' | 'RDONLY' | 'NOACCESS';
  /** Length, in sectors. */
  readonly sectors: number;
  /** `FLAT`, `SPARSE`, `ZERO`, …: whatever is there, in capitals. */
  readonly type: string;
  readonly name: string | undefined;
  /** In sectors from the start of the named file; only flat extents have one. */
  readonly offset: number | undefined;
}

/** The text of a descriptor, taken apart. Everything in it is a stranger's word: nothing is followed here. */
export interface DescriptorText {
  /** Keys as they are spelled, values without their quotes. */
  readonly settings: ReadonlyMap<string, string>;
  readonly extents: readonly ExtentLine[];
}

/** Lines of an embedded descriptor beyond which it is taken for something else; real ones have some thirty. */
export const MAX_LINES = 1000;

/** Longest name of a file that is looked at, in characters. */
const MAX_NAME = 1024;

const EXTENT = /^(RW|RDONLY|NOACCESS)\s+(\d{1,15})\s+([A-Z0-9]+)(?:\s+"([^"]*)"(?:\s+(\d{1,15}))?(?:\s.*)?)?$/;

const SETTING = /^([\w.-]+)\s*=\s*(.*?)\s*$/;

/** Takes a descriptor apart; a string is what is wrong with it. */
export function parseDescriptor(text: string, maxLines = MAX_LINES): DescriptorText | string {
  const lines = text.split(/\r?\n/, maxLines + 1);
  if (lines.length > maxLines) return `the descriptor has more than ${maxLines} lines`;
  const settings = new Map<string, string>();
  const extents: ExtentLine[] = [];
  for (const line of lines.map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const extent = parseExtent(line);
    if (typeof extent === 'string') return extent;
    if (extent !== undefined) {
      extents.push(extent);
      continue;
    }
    const [, key, value] = SETTING.exec(line) ?? [];
    if (key === undefined || value === undefined)
      return `the descriptor has a line that is neither a setting nor an extent: ${quote(line)}`;
    if (settings.has(key)) return `the descriptor says ${key} twice`;
    settings.set(key, value.replace(/^"(.*)"$/, '$1'));
  }
  return { settings, extents };
}

function parseExtent(line: string): ExtentLine | string | undefined {
  const [, access, sectors, type, name, offset] = EXTENT.exec(line) ?? [];
  if (access === undefined || type === undefined) return undefined;
  if (name !== undefined && name.length > MAX_NAME)
    return `the descriptor names a file by more than ${MAX_NAME} characters`;
  return {
    access: access as ExtentLine['access'],
    sectors: Number(sectors),
    type,
    name,
    offset: offset === undefined ? undefined : Number(offset),
  };
}

/**
 * The text of a descriptor, in the encoding that it names; UTF-8 where it names none. A name that nobody knows, or one of a
 * multi-byte encoding in which the parser's own characters would look different, counts as UTF-8.
 */
export function decodeDescriptor(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
  const named = /^\s*encoding\s*=\s*"?([\w-]{1,40})"?\s*$/m.exec(text.toString('latin1'))?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(/^utf-?(16|32)/i.test(named) ? 'utf-8' : named).decode(text);
  } catch {
    return new TextDecoder().decode(text);
  }
}

/** A content ID as children name it: eight lower-case hexadecimal digits. Undefined for anything else. */
export function contentId(value: string | undefined): string | undefined {
  return value !== undefined && /^[0-9a-f]{1,8}$/i.test(value) ? value.toLowerCase().padStart(8, '0') : undefined;
}

/** "There is no parent." */
export const NO_PARENT = 'ffffffff';

/** For a message: what a stranger wrote, cut short and without characters that a terminal would obey. */
export function quote(text: string | undefined): string {
  return text === undefined ? '(none)' : JSON.stringify(text.slice(0, 60));
}
