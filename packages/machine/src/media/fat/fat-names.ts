import { mediumInvalid } from '../laid-image.js';

/** Characters that short names take beside letters and digits. */
const SIGNS = /[^A-Z0-9!#$%&'()@^_`{}~-]/g;

const LONGEST = 255;

/** A name in a directory: eleven bytes, and the long name where that is another. */
export interface FatName {
  readonly short: Buffer;
  readonly long?: string;
}

/** Names for the children of a directory, all different. Throws for what FAT cannot have. */
export function fatNames(names: readonly string[]): FatName[] {
  const seen = new Map<string, string>();
  for (const name of names) {
    checkName(name);
    const other = seen.get(name.toUpperCase());
    if (other !== undefined)
      throw mediumInvalid(`FAT takes ${other} and ${name} for the same name`, 'rename one of them, or choose `iso`');
    seen.set(name.toUpperCase(), name);
  }
  // Names that are short by themselves come first, so that no made one takes theirs.
  const taken = new Set(names.filter(isShort).map((name) => split(name).join('.')));
  const next = new Map<string, number>();
  return names.map((name) =>
    isShort(name) ? { short: packed(...split(name)) } : { short: made(name, taken, next), long: name },
  );
}

function checkName(name: string): void {
  if (/["*/:<>?\\|]/.test(name) || /[. ]$/.test(name) || name.length > LONGEST || Buffer.from(name).toString() !== name)
    throw mediumInvalid(
      `FAT has no name such as ${JSON.stringify(name)}`,
      'it takes at most 255 characters, none of "*/:<>?\\|, and no dot or space at the end; or choose `iso`',
    );
}

function isShort(name: string): boolean {
  const [base, extension] = split(name);
  const whole = extension === '' ? base : `${base}.${extension}`;
  const plain = (text: string) => text.replaceAll(SIGNS, '') === text;
  return (
    whole === name && plain(base) && plain(extension) && base.length > 0 && base.length <= 8 && extension.length <= 3
  );
}

function split(name: string): [string, string] {
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)];
}

/** `LONGNA~1.EXT`, with the first number that is free. `next` says where the search goes on, lest it take quadratic time. */
function made(name: string, taken: Set<string>, next: Map<string, number>): Buffer {
  const plain = (text: string) => text.toUpperCase().replaceAll(/[ .]/g, '').replaceAll(SIGNS, '_');
  const [base, extension] = split(name);
  const end = plain(extension).slice(0, 3);
  const stem = plain(base).slice(0, 6);
  for (let n = next.get(`${stem}.${end}`) ?? 1; ; n++) {
    const tail = `~${n}`;
    const short = stem.slice(0, 8 - tail.length) + tail;
    if (taken.has(`${short}.${end}`)) continue;
    taken.add(`${short}.${end}`);
    next.set(`${stem}.${end}`, n + 1);
    return packed(short, end);
  }
}

function packed(base: string, extension: string): Buffer {
  return Buffer.from(base.padEnd(8) + extension.padEnd(3), 'latin1');
}
