import type { PackageSource } from '@polyvisor/core';

/** One line of apt's sources: an archive, one suite of it, and components. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Keyring file that must have signed it; absent: any key that apt trusts. */
  readonly signedBy?: string;
}

const OFFICIAL = 'http://mirror.example/debian';
const OFFICIAL_SECURITY = 'http://mirror.example/debian-security';

/** The one-line format of sources.list(5): `deb [options] uri suite components…`. */
export function parseSourcesList(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (match === null) return [];
    const [, options = '', uri = '', suite = '', components = ''] = match;
    return [source(uri, suite, words(components), /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1])];
  });
}

/** The deb822 format of sources.list(5): paragraphs of `Field: value`, values may go on in indented lines. */
export function parseDeb822(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((paragraph) => {
    const fields = new Map<string, string>();
    let last = '';
    for (const line of paragraph.split('\n')) {
      if (line.startsWith('#')) continue;
      const field = /^([A-Za-z0-9-]+):\s*(.*)$/.exec(line);
      if (field !== null) {
        last = (field[1] ?? '').toLowerCase();
        fields.set(last, field[2] ?? '');
      } else if (/^\s/.test(line) && last !== '') {
        fields.set(last, `${fields.get(last) ?? ''}\n${line.trim()}`);
      }
    }
    const disabled = /^(?:no|false|0|off|disable)$/i.test(fields.get('enabled') ?? 'yes');
    if (disabled || !words(fields.get('types') ?? '').includes('deb')) return [];
    // A key may be written out in the field itself; only the name of a file can be passed on.
    const key = fields.get('signed-by')?.trim();
    const keyring = key?.startsWith('/') && !key.includes('\n') ? key : undefined;
    const components = words(fields.get('components') ?? '');
    return words(fields.get('uris') ?? '').flatMap((uri) =>
      words(fields.get('suites') ?? '').map((suite) => source(uri, suite, components, keyring)),
    );
  });
}

/**
 * Where the packages come from: the mirror that the definition names, or else all that this machine's apt has for the
 * suite (with its updates and its security fixes), or else Debian's public servers. A named mirror gets the security
 * archive of this machine beside it, where it has one for the same suite.
 */
export function archiveSources(wanted: PackageSource, machine: readonly AptSource[]): AptSource[] {
  const { suite, components, keyring } = wanted;
  const limit = (found: AptSource): AptSource[] => {
    const shared = found.components.filter((component) => components.includes(component));
    return shared.length === 0
      ? []
      : [{ ...found, components: shared, ...(keyring === undefined ? {} : { signedBy: keyring }) }];
  };
  const own = machine.filter((found) => base(found.suite) === suite).flatMap(limit);
  if (wanted.mirror !== undefined) {
    return [source(wanted.mirror, suite, components, keyring), ...own.filter((found) => isSecurity(found.suite))];
  }
  return own.some((found) => found.suite === suite) ? own : officialSources(suite, components, keyring);
}

/** Debian's own servers: the release, its updates and its security fixes. Rolling suites have only the first. */
export function officialSources(suite: string, components: readonly string[], keyring?: string): AptSource[] {
  const release = source(OFFICIAL, suite, components, keyring);
  if (['sid', 'unstable', 'experimental'].includes(suite)) return [release];
  return [
    release,
    source(OFFICIAL, `${suite}-updates`, components, keyring),
    source(OFFICIAL_SECURITY, `${suite}-security`, components, keyring),
  ];
}

/** As a line of sources.list(5). */
export function sourceLine({ uri, suite, components, signedBy }: AptSource): string {
  return ['deb', ...(signedBy === undefined ? [] : [`[signed-by=${signedBy}]`]), uri, suite, ...components].join(' ');
}

function source(uri: string, suite: string, components: readonly string[], signedBy?: string): AptSource {
  return { uri: uri.replace(/\/+$/, ''), suite, components, ...(signedBy === undefined ? {} : { signedBy }) };
}

/** The release that a suite belongs to: `bookworm` of `bookworm-security`. Backports and proposed updates are asked for by name only. */
function base(suite: string): string {
  return suite.replace(/(?:-updates|-security|\/updates)$/, '');
}

function isSecurity(suite: string): boolean {
  return /(?:-security|\/updates)$/.test(suite);
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
