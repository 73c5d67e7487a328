import { asRoot, type Work } from './work.js';

/** Prints `name version`, a line each. Names with a space in them are no packages. */
const LIST = `
printf 'running kernel\\t%s\\n' "$(uname -r)"
system=$(. /etc/os-release 2>/dev/null && printf '%s' "\${PRETTY_NAME:-}" || true)
[ -z "$system" ] || printf 'operating system\\t%s\\n' "$system"
if command -v dpkg-query >/dev/null; then
  dpkg-query --show --showformat '\${db:Status-Status}\\t\${Package}\\t\${Version}\\n' | sed -n 's/^installed\\t//p'
elif command -v rpm >/dev/null; then
  rpm --query --all --queryformat '%{NAME}\\t%{VERSION}-%{RELEASE}\\n'
elif command -v apk >/dev/null; then
  apk info -v 2>/dev/null | sed -n 's/^\\(.*\\)-\\([^-]*-r[0-9]*\\)$/\\1\\t\\2/p'
fi
`;

/** Versions of what the guest is made of, for the manifest. Of a package that is there more than once, all. */
export async function takeInventory(work: Work): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await asRoot(work, 'listing the packages', LIST, { timeout: 600_000 });
  const versions = new Map<string, string[]>();
  for (const line of stdout.split('\n')) {
    const [name, version] = line.split('\t');
    if (name === undefined || version === undefined) continue;
    versions.set(name, [...(versions.get(name) ?? []), version]);
  }
  return Object.fromEntries([...versions].map(([name, all]) => [name, all.sort().join(', ')]));
}
