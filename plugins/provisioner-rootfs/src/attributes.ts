import type { TreeAttribute } from './tree.js';

/** What is kept: capabilities of programs, access control lists, and what users set. Labels of the host's own security modules are not. */
const KEPT = /^(?:security\.capability|system\.posix_acl_(?:access|default)|user\..+)$/;

/** Arguments of `getfattr` that print every attribute of a tree, run in its root. */
export const GETFATTR = ['--recursive', '--physical', '--no-dereference', '--dump', '--match=-', '--encoding=hex', '.'];

export interface Attributes {
  /** By path, names in order. `file` is a name for the value's file. */
  readonly byPath: ReadonlyMap<string, readonly TreeAttribute[]>;
  /** Values by the names of their files. */
  readonly values: ReadonlyMap<string, Uint8Array>;
}

/** Reads what `getfattr` printed, as `NAME_BYTES`: a `# file:` line, then one `name=0x…` line an attribute. */
export function parseAttributes(text: string): Attributes {
  const byPath = new Map<string, TreeAttribute[]>();
  const values = new Map<string, Uint8Array>();
  let path = '';
  for (const line of text.split('\n')) {
    const file = /^# file: (.*)$/.exec(line);
    if (file !== null) {
      path = unescape(file[1] ?? '').replace(/^\.\/?/, '');
      continue;
    }
    const [, name = '', hex = ''] = /^([^=]+)=0x([0-9a-f]*)$/i.exec(line) ?? [];
    if (!KEPT.test(name)) continue;
    const value = `${values.size}`;
    values.set(value, new Uint8Array(Buffer.from(hex, 'hex')));
    byPath.set(
      path,
      [...(byPath.get(path) ?? []), { name, file: value }].sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  }
  return { byPath, values };
}

/** getfattr writes bytes that are not plain as `\ooo`. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
