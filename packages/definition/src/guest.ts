/** Releases by their code names, as far as descriptors of virtual machines have words for them. */
const RELEASES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  debian: { buster: '10', bullseye: '11', bookworm: '12', trixie: '13', forky: '14' },
  ubuntu: { focal: '20.04', jammy: '22.04', noble: '24.04' },
};

/** Version of a distribution's release: the number behind a code name, the suite itself when it is one, or empty. */
export function guestVersion(distribution: string, suite: string): string {
  const name = suite.split(/[-/]/, 1)[0] ?? suite;
  const known = RELEASES[distribution];
  if (known !== undefined && Object.hasOwn(known, name)) return known[name] ?? '';
  return /^\d+(\.\d+)*$/.test(name) ? name : '';
}
