import { DefinitionError, type PackageSource } from '@polyvisor/core';

/** One line of apt's sources: an archive, one suite of it, and components. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Keyring file that must have signed it; absent: any key that apt trusts. */
  readonly signedBy?: string;
}

/** Suites that have neither updates nor security fixes beside them. */
const ROLLING = ['sid', 'unstable', 'experimental'];

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
 * suite (with its updates and its security fixes), or else the archive that it has for another release. A named mirror
 * gets the security archive of this machine beside it, where it has one for the same suite.
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
  if (own.some((found) => found.suite === suite)) return own;
  const others = otherRelease(suite, machine).flatMap(limit);
  if (others.length > 0) return others;
  throw new DefinitionError('mirror-unknown', `this machine's apt has no archive for the suite "${suite}"`, {
    hint: 'name a mirror: --var mirror=http://…, or source.packages.mirror in the definition',
  });
}

/** The archive of a release that this machine has with its updates or security fixes, with its name replaced by `suite`. */
function otherRelease(suite: string, machine: readonly AptSource[]): AptSource[] {
  const complete = machine.find(
    (found) => base(found.suite) === found.suite && machine.some((other) => other !== found && isPartOf(other, found)),
  );
  if (complete === undefined) return [];
  return [complete, ...machine.filter((other) => other !== complete && isPartOf(other, complete))]
    .filter((found) => found === complete || !ROLLING.includes(suite))
    .map((found) => ({ ...found, suite: found.suite.replace(complete.suite, suite) }));
}

/** Whether a source holds updates or security fixes of a release. */
function isPartOf(other: AptSource, release: AptSource): boolean {
  return other.suite !== release.suite && base(other.suite) === release.suite;
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
