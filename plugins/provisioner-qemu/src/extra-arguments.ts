import { CONTROLLER_IDS, MONITOR_ID } from '@polyvisor/qemu';
import { DISK_ID, mediumId, SERIAL_ID } from './drives.js';
import { NETWORK_ID } from './network.js';

const OWN_IDS: ReadonlySet<string> = new Set([
  ...CONTROLLER_IDS,
  DISK_ID,
  MONITOR_ID,
  NETWORK_ID,
  SERIAL_ID,
  ...Array.from({ length: 8 }, (_value, index) => mediumId(index)),
]);

/** Options that say once for all what this plugin says already, and where the person can say it instead. */
const TAKEN: Readonly<Record<string, string>> = {
  ...each(['m'], 'say it with `memory` in the definition'),
  ...each(['smp'], 'say it with `cpus` in the definition'),
  ...each(['cpu'], 'take the option `cpu`'),
  ...each(['accel', 'enable-kvm'], 'take the option `acceleration`'),
  ...each(['display', 'nographic', 'curses', 'sdl'], 'take the option `display`'),
  ...each(['vga'], 'the machine has a VGA card; add another with `-device`'),
  ...each(['bios', 'pflash'], 'say it with `firmware` in the definition'),
  ...each(
    ['kernel', 'initrd', 'append', 'boot', 'option-rom'],
    'what the machine starts from is decided by the source',
  ),
  ...each(
    ['no-reboot', 'no-shutdown', 'action', 'S', 'incoming', 'loadvm', 'daemonize'],
    'it would keep polyvisor from following the machine',
  ),
  ...each(['snapshot'], 'nothing would be left of the disk'),
  ...each(['name', 'pidfile', 'nodefaults', 'no-user-config'], 'it is given already'),
  ...each(['readconfig'], 'what is in a file cannot be checked; give it as arguments'),
  ...each(['help', 'h', 'version'], 'it would only print something'),
};

/** Properties by which an option refers to something by its id. */
const REFERENCES = ['id', 'node-name', 'netdev', 'drive', 'chardev', 'node', 'file'];

/**
 * Why these arguments cannot be added to ours, one message each; empty: they can. Arguments only ever add to a machine: whatever
 * would change or take the place of something of ours is told, not done.
 */
export function conflictsOf(args: readonly string[]): string[] {
  const messages: string[] = [];
  for (const { option, value, text } of parse(args)) {
    const conflict =
      option === undefined
        ? 'is no option; QEMU would take it for a disk'
        : (TAKEN[option] ?? machineConflict(option, value) ?? idConflict(option, value) ?? monitorConflict(value));
    if (conflict !== undefined) messages.push(`${JSON.stringify(text)} cannot be added: ${conflict}`);
  }
  return messages;
}

interface Argument {
  /** Without its hyphens; absent for a value that belongs to none. */
  readonly option: string | undefined;
  readonly value: string;
  readonly text: string;
}

function parse(args: readonly string[]): Argument[] {
  const found: Argument[] = [];
  for (let index = 0; index < args.length; index++) {
    const text = args[index] ?? '';
    const option = /^--?(\S+)$/.exec(text)?.[1];
    const next = args[index + 1];
    const hasValue = option !== undefined && next !== undefined && !next.startsWith('-');
    found.push(hasValue ? { option, value: next, text: `${text} ${next}` } : { option, value: '', text });
    if (hasValue) index++;
  }
  return found;
}

/** Properties of the machine add up, but which machine it is, is said once. */
function machineConflict(option: string, value: string): string | undefined {
  if (option !== 'machine' && option !== 'M') return undefined;
  const names = properties(value).map(([name, given]) => (given === undefined ? 'type' : name));
  if (names.includes('type')) return 'take the option `machine`';
  if (names.includes('accel')) return 'take the option `acceleration`';
  return names.some((name) => name.startsWith('pflash')) ? TAKEN['pflash'] : undefined;
}

function idConflict(option: string, value: string): string | undefined {
  if (option === 'set') {
    const id = value.split('.')[1];
    return id !== undefined && OWN_IDS.has(id) ? `${id} is part of the machine already` : undefined;
  }
  const chardev = /^chardev:(.*)$/.exec(value)?.[1];
  if (chardev !== undefined && OWN_IDS.has(chardev)) return `${chardev} is part of the machine already`;
  for (const [name, given] of properties(value)) {
    if (given === undefined || !REFERENCES.includes(name)) continue;
    if (OWN_IDS.has(given)) return `the ${name} ${JSON.stringify(given)} is taken: it is part of the machine already`;
  }
  return undefined;
}

function monitorConflict(value: string): string | undefined {
  const isStdio = value === 'stdio' || value.startsWith('stdio,') || value === 'mon:stdio';
  return isStdio ? 'polyvisor itself talks to QEMU over standard input and output' : undefined;
}

/** Properties of a value, in either of QEMU's notations. In the older one a comma inside is written twice. */
function properties(value: string): (readonly [name: string, given: string | undefined])[] {
  if (value.startsWith('{')) {
    try {
      const parsed: unknown = JSON.parse(value);
      return Object.entries(parsed as object).map(([name, given]) => [name, String(given)]);
    } catch {
      return []; // QEMU says what is wrong with it
    }
  }
  return value.split(/(?<!,),(?!,)/).map((part) => {
    const equals = part.indexOf('=');
    return equals < 0 ? [part, undefined] : [part.slice(0, equals), part.slice(equals + 1)];
  });
}

function each(options: readonly string[], remedy: string): Record<string, string> {
  return Object.fromEntries(options.map((option) => [option, remedy]));
}
