import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  EnvironmentError,
  type PluginContext,
  type RunningCommand,
  type RunOptions,
  type RunResult,
} from '@polyvisor/core';

/** How we become the root of a guest: by being root, or by a user namespace with the user's subordinate ids. */
export type Isolation = 'root' | 'user';

export interface SandboxOptions {
  readonly isolation: Isolation;
  /** An existing directory; the guest's tree goes below it. */
  readonly workDir: string;
  /** Bytes of memory that the tree may take; absent: it lies on disk, in `workDir`. */
  readonly memory?: number;
  /** Whether anything inside may reach a network. */
  readonly network: boolean;
  /** Seconds since 1970: what every program inside takes for the present, where it asks for SOURCE_DATE_EPOCH. */
  readonly epoch: number;
  readonly signal: AbortSignal;
}

/**
 * The first process of the sandbox: makes the mounts, takes a host name that tells nothing of this machine (packages
 * write it into files), says which process it is, then waits until its input ends, which
 * happens as soon as its maker is gone, however it went. The kernel then ends all other processes of the sandbox and
 * drops its mounts.
 */
const INIT = `
set -eu
read -r pid rest </proc/self/stat
mount -t proc proc /proc
hostname localhost
mkdir -p "$1/mnt"
if [ "$2" != 0 ]; then
  mount -t tmpfs -o "mode=0755,size=$2" polyvisor "$1/mnt"
fi
mkdir -p "$1/mnt/root"
echo "ready $pid"
exec cat >/dev/null
`;

/**
 * Rights of root that no namespace confines: the clock, the kernel's modules and log, the machine's ports and power. No
 * installation needs them, and a script of a definition that sets the clock is to fail, not to set that of this machine.
 */
const WITHHELD = ['sys_time', 'sys_module', 'sys_rawio', 'sys_boot', 'syslog', 'wake_alarm'];

/** In milliseconds. Making namespaces takes some 20 ms; a machine under load has ample time. */
const START_TIMEOUT = 30_000;

/**
 * A place of its own for processes and mounts (Linux namespaces), in which we are root. Whatever happens to us, no
 * process and no mount outlives it.
 *
 * sandbox = open, { run | shell | chroot }, dispose
 */
export class Sandbox implements AsyncDisposable {
  readonly #context: PluginContext;
  readonly #options: SandboxOptions;
  readonly #init: RunningCommand;
  readonly #pid: number;
  /** The guest's `/`. Seen by commands run in here; where the tree is in memory, by nobody else. */
  readonly root: string;
  readonly isolation: Isolation;
  /** Ends everything that runs in here. */
  readonly signal: AbortSignal;

  private constructor(context: PluginContext, options: SandboxOptions, init: RunningCommand, pid: number) {
    this.#context = context;
    this.#options = options;
    this.#init = init;
    this.#pid = pid;
    this.isolation = options.isolation;
    this.signal = options.signal;
    this.root = join(options.workDir, 'mnt', 'root');
  }

  static async open(context: PluginContext, options: SandboxOptions): Promise<Sandbox> {
    const init = context.start('unshare', [
      ...unshareArguments(options.isolation),
      ...(options.network ? [] : ['--net']),
      '--fork',
      '--kill-child',
      'sh',
      '-c',
      INIT,
      'sandbox',
      options.workDir,
      String(options.memory ?? 0),
    ]);
    try {
      return new Sandbox(context, options, init, await readyPid(init, options.signal));
    } catch (error) {
      init.stdin.end();
      await init.stop(0);
      throw error;
    }
  }

  /** Runs a command of this machine inside. */
  run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const { isolation, network, epoch, signal, workDir } = this.#options;
    return this.#context.run(
      'nsenter',
      [
        `--target=${this.#pid}`,
        '--mount',
        '--pid',
        '--uts',
        '--ipc',
        ...(isolation === 'user' ? ['--user'] : []),
        ...(network ? [] : ['--net']),
        '--',
        'setpriv',
        `--bounding-set=${WITHHELD.map((right) => `-${right}`).join(',')}`,
        'sh',
        '-c',
        // Programs for the system's administrator are not on every user's PATH.
        'PATH=$PATH:/usr/sbin:/sbin exec "$@"',
        'sh',
        command,
        ...args,
      ],
      {
        signal,
        ...options,
        env: { SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC', TMPDIR: workDir, ...options.env },
      },
    );
  }

  /** Runs a POSIX shell script of ours inside; it stops at the first error. `$1`, `$2`… are the arguments. */
  shell(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    return this.run('sh', ['-euc', script, 'sh', ...args], options);
  }

  /**
   * Runs a command of the guest, with the guest's tree as `/`, in a process namespace of its own: when it ends or is
   * killed, everything that it started ends too, daemons included. The kernel's settings are those of this machine, so
   * they can only be read.
   */
  chroot(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    return this.run(
      'unshare',
      [
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        'sh',
        '-euc',
        `root=$1; shift
        mount -t proc proc "$root/proc"
        mount --bind "$root/proc/sys" "$root/proc/sys"
        mount -o remount,bind,ro "$root/proc/sys"
        exec chroot "$root" "$@"`,
        'chroot',
        this.root,
        'env',
        '--unset=TMPDIR',
        '--unset=TZ',
        command,
        ...args,
      ],
      {
        ...options,
        env: {
          PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
          HOME: '/root',
          LC_ALL: 'C.UTF-8',
          DEBIAN_FRONTEND: 'noninteractive',
          ...options.env,
        },
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { isolation, memory } = this.#options;
    // On disk, an ordinary user could not remove from outside what belongs to its subordinate ids.
    if (isolation === 'user' && memory === undefined) {
      await this.run('rm', ['-rf', '--one-file-system', this.root], { signal: AbortSignal.timeout(60_000) }).catch(
        () => undefined,
      );
    }
    this.#init.stdin.end();
    await this.#init.stop(5000);
  }
}

/** Namespaces for mounts, processes, names of the machine and shared memory; for an ordinary user also one for users, with all ids it may use. */
export function unshareArguments(isolation: Isolation): string[] {
  return [
    ...(isolation === 'user' ? ['--user', '--map-root-user', '--map-auto'] : []),
    '--mount',
    '--pid',
    '--uts',
    '--ipc',
  ];
}

function readyPid(init: RunningCommand, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const complaints: string[] = [];
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      finish();
    };
    const fail = (why: string) =>
      settle(() =>
        reject(
          new EnvironmentError('sandbox-failed', `cannot make a sandbox for the guest's file system: ${why}`, {
            hint: 'Linux namespaces must be allowed here; in a container run it with --privileged, or as root on a machine of its own',
          }),
        ),
      );
    const aborted = () => settle(() => reject(signal.reason as Error));
    const timer = setTimeout(() => fail(`nothing happened within ${START_TIMEOUT / 1000} s`), START_TIMEOUT);
    signal.addEventListener('abort', aborted, { once: true });
    createInterface({ input: init.stderr }).on('line', (line) => complaints.push(line));
    createInterface({ input: init.stdout }).on('line', (line) => {
      const [word, pid] = line.split(' ');
      if (word === 'ready') settle(() => resolve(Number(pid)));
    });
    void init.exited.then(({ exitCode, signal: by }) =>
      setImmediate(() => fail(complaints.join('; ') || `unshare ended with ${exitCode ?? by}`)),
    );
  });
}
