import { runScript } from './run-script.js';
import { asRoot, tell, type Work } from './work.js';

/** For the seal, in milliseconds. */
const LIMIT = 300_000;

/**
 * A guest that runs goes on writing, and some of what the seal removes would be back before it is off: services that save their
 * state when they end do so now, the journal stays in memory from here on, and other logs are not written any more.
 */
const QUIET = `
stop() { if systemctl is-active -q "$1" 2>/dev/null; then systemctl stop "$1" || true; fi; }
if [ -d /run/systemd/system ]; then
  for unit in apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service syslog.socket rsyslog.service syslog-ng.service \\
    systemd-random-seed.service systemd-timesyncd.service chrony.service chronyd.service ntp.service ntpsec.service \\
    fake-hwclock.service fake-hwclock-save.service; do
    stop "$unit"
  done
  journalctl --relinquish-var 2>/dev/null || true
elif command -v rc-service >/dev/null; then
  for service in syslog rsyslog seedrng urandom; do
    if rc-service -e "$service" 2>/dev/null; then rc-service "$service" stop || true; fi
  done
fi
`;

/** Runs the seal. Returns what was reset, a line each, which only the log has in full. */
export async function sealGuest(work: Work, seal: string): Promise<readonly string[]> {
  await asRoot(work, 'stopping what would write during the seal', QUIET);
  const reset: string[] = [];
  await runScript(work, {
    name: 'seal',
    text: seal.startsWith('#!') ? seal : `#!/bin/sh\n${seal}`,
    timeout: LIMIT * work.slowdown,
    acceptExitCodes: [0],
    onLine: (line) => {
      if (!tell(work, 'seal', 'seal', line)) reset.push(line);
    },
  });
  return reset;
}

/** `19 things reset (machine-id, backup-files); the log lists them`. A line is `<operation>: <what>`. */
export function sealNote(reset: readonly string[]): string {
  if (reset.length === 0) return 'nothing had to be reset';
  const operations = new Set(reset.map((line) => line.split(':', 1)[0] ?? ''));
  return `${reset.length} things reset (${[...operations].join(', ')}); the log lists them`;
}
