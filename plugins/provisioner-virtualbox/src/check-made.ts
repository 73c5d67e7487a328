import { EnvironmentError } from '@polyvisor/core';
import { type Configuration, forwardingRule, memoryOf } from './configuration.js';

/**
 * VirtualBox accepts some settings and does nothing, with exit code 0. What matters is therefore looked up again; throws when
 * it is not as it was told. `disk` is the path that was attached.
 */
export function checkMade(made: ReadonlyMap<string, string>, configuration: Configuration, disk: string): void {
  const { spec, forwarding } = configuration;
  const expected = [
    ['memory', String(memoryOf(spec))],
    ['cpus', String(spec.cpus)],
    ['firmware', spec.firmware === 'uefi' ? 'EFI' : 'BIOS'],
    ['nic1', 'nat'],
    ['boot1', 'disk'],
  ] as const;
  const wrong = expected
    .filter(([name, value]) => !(made.get(name) ?? '').toLowerCase().startsWith(value.toLowerCase()))
    .map(([name, value]) => `${name} is ${made.get(name) ?? 'not there'} instead of ${value}`);
  const values = [...made.values()];
  if (!values.includes(disk)) wrong.push(`the disk ${disk} is not attached`);
  for (const [guestPort, port] of forwarding) {
    if (!values.includes(forwardingRule(guestPort, port))) wrong.push(`port ${guestPort} is not forwarded`);
  }
  if (wrong.length === 0) return;
  throw new EnvironmentError(
    'virtualbox-settings',
    `VirtualBox did not make the machine ${spec.name} as it was told: ${wrong.join('; ')}`,
    { hint: 'does the option modifyvm change any of it? Otherwise this release is not supported; please report it' },
  );
}
