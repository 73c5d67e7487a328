/** Joliet takes names of 64 characters of UCS-2 (Joliet specification, "Joliet Directory Hierarchy"). */
const JOLIET_LONGEST = 64;

/** Gives every child of a directory a name of 8.3 capital letters, without version; all different. */
export function plainNames(
  children: readonly { readonly kind: 'file' | 'directory'; readonly name: string }[],
): string[] {
  return distinct(children, ({ kind, name }, n) => {
    const dot = kind === 'directory' ? -1 : name.lastIndexOf('.');
    const [base, extension] = dot <= 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)];
    const number = n === 0 ? '' : String(n);
    const stem = allowed(base).slice(0, 8 - number.length) + number;
    // Files have their dot even without an extension (ECMA-119 §7.5.1); directories have none.
    return kind === 'directory' ? stem : `${stem}.${allowed(extension).slice(0, 3)}`;
  });
}

/** Gives every child its name for Joliet, as near to its own as that allows; all different, also for those who ignore case. */
export function jolietNames(children: readonly { readonly name: string }[]): string[] {
  return distinct(children, ({ name }, n) => {
    const dot = name.lastIndexOf('.');
    const [base, extension] = dot <= 0 || name.length - dot > 10 ? [name, ''] : [name.slice(0, dot), name.slice(dot)];
    const number = n === 0 ? '' : `~${n}`;
    const plain = (text: string) => text.replaceAll(/[*:;?\\/]|[\ud800-\udfff]/g, '_');
    return plain(base).slice(0, JOLIET_LONGEST - extension.length - number.length) + number + plain(extension);
  });
}

function allowed(text: string): string {
  return text.toUpperCase().replaceAll(/[^A-Z0-9_]/g, '_');
}

/** Tries `make` with rising numbers until the name is new in the directory. */
function distinct<T>(items: readonly T[], make: (item: T, n: number) => string): string[] {
  const taken = new Set<string>();
  // Where the search goes on for names that begin alike, so that many of them do not take quadratic time.
  const next = new Map<string, number>();
  return items.map((item) => {
    const first = make(item, 0);
    let n = next.get(first.toLowerCase()) ?? 0;
    let name = make(item, n);
    while (taken.has(name.toLowerCase())) name = make(item, ++n);
    next.set(first.toLowerCase(), n + 1);
    taken.add(name.toLowerCase());
    return name;
  });
}
