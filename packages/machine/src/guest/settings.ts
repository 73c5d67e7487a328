import { asRoot, tell, type Work } from './work.js';

/** Left as the installation made them, for these stand where a definition says nothing. */
const DEFAULT_LOCALES = new Set(['C.UTF-8', 'C', 'POSIX']);
const DEFAULT_TIMEZONES = new Set(['UTC', 'Etc/UTC']);

/** `$1` host name. The line for 127.0.1.1 is Debian's; elsewhere the name is added, so that sudo can resolve it. */
const HOSTNAME = `
[ "$(cat /etc/hostname 2>/dev/null)" != "$1" ] || exit 0
printf '%s\\n' "$1" >/etc/hostname
hostname "$1" 2>/dev/null || true
if grep -q '^127\\.0\\.1\\.1[[:space:]]' /etc/hosts 2>/dev/null; then
  hosts=$(sed "s/^127\\.0\\.1\\.1[[:space:]].*/127.0.1.1 $1/" /etc/hosts)
  printf '%s\\n' "$hosts" >/etc/hosts
else
  printf '127.0.1.1 %s\\n' "$1" >>/etc/hosts
fi
`;

/** `$1` locale, `$2` its character set. What the guest has no tool for is told. */
const LOCALE = `
plain=$(printf '%s' "$1" | tr 'A-Z' 'a-z' | tr -d -- -)
if ! locale -a 2>/dev/null | tr 'A-Z' 'a-z' | tr -d -- - | grep -qx -e "$plain"; then
  if command -v locale-gen >/dev/null && [ -e /etc/locale.gen ]; then
    printf '%s %s\\n' "$1" "$2" >>/etc/locale.gen
    locale-gen
  elif command -v localedef >/dev/null; then
    localedef -i "\${1%%.*}" -f "$2" "$1"
  else
    echo "warning: the guest cannot make the locale $1: it has neither locale-gen nor localedef (Debian: package locales)"
    exit 0
  fi
fi
if [ -e /etc/default/locale ] || [ -e /etc/debian_version ]; then file=/etc/default/locale; else file=/etc/locale.conf; fi
printf 'LANG=%s\\n' "$1" >"$file"
`;

/** `$1` time zone. */
const TIMEZONE = `
if [ ! -e "/usr/share/zoneinfo/$1" ]; then
  echo "warning: the guest does not know the time zone $1: it lacks the package tzdata"
  exit 0
fi
ln -sf "/usr/share/zoneinfo/$1" /etc/localtime
if [ -e /etc/timezone ]; then printf '%s\\n' "$1" >/etc/timezone; fi
`;

/** `$@` arguments, added after those that the system has. */
const KERNEL_ARGUMENTS = `
if command -v update-grub >/dev/null && [ -e /etc/default/grub ]; then
  mkdir -p /etc/default/grub.d
  printf 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX %s"\\n' "$*" >/etc/default/grub.d/50-polyvisor.cfg
  update-grub
elif command -v grubby >/dev/null; then
  grubby --update-kernel=ALL --args="$*"
else
  echo "warning: kernelArguments are not set: the guest has neither update-grub nor grubby; set them in a script"
fi
`;

/** Host name, locale, time zone and kernel arguments, as far as the definition says something about them. */
export async function applySettings(work: Work): Promise<void> {
  const { hostname, locale, timezone, kernelArguments } = work.appliance;
  const run = (purpose: string, script: string, words: readonly string[]) =>
    asRoot(work, purpose, script, {
      arguments: words,
      // Making a locale or a boot menu takes a slow guest a while.
      timeout: 600_000,
      onLine: (line) => tell(work, 'customise', purpose, line),
    });
  await run('setting the host name', HOSTNAME, [hostname]);
  if (!DEFAULT_LOCALES.has(locale)) await run('setting the locale', LOCALE, [locale, charset(locale)]);
  if (!DEFAULT_TIMEZONES.has(timezone)) await run('setting the time zone', TIMEZONE, [timezone]);
  if (kernelArguments.length > 0) await run('setting kernel arguments', KERNEL_ARGUMENTS, kernelArguments);
}

function charset(locale: string): string {
  const set = /\.([A-Za-z0-9-]+)/.exec(locale)?.[1] ?? 'ISO-8859-1';
  return /^utf-?8$/i.test(set) ? 'UTF-8' : set;
}
