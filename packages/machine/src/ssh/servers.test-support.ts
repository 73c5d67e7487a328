import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuestAccess } from '@polyvisor/core';
import { type BuildKey, createBuildKey } from './build-key.js';
import { type ConnectOptions, connectGuest } from './connect.js';
import type { Guest } from './guest.js';
import { pause } from './pause.js';

/** Whether set-user-id programs are what they are in the guest; for an ordinary user, namespaces do not go that far. */
export const isRoot = process.getuid?.() === 0;

/** Of root and of `tester`, the users of every guest. */
export const PASSWORD = 'not so "secret" $1';

/** A computer in the small: SSH servers that anybody uses, with files of their own over those of this machine. */
export interface TestGuest extends AsyncDisposable {
  /** The directory behind all of it, on this machine. */
  readonly directory: string;
  readonly key: BuildKey;
  readonly port: number;
  start(): Promise<void>;
  /** Ends the server with all connections and all that runs in them, as a restart would. */
  stop(): Promise<void>;
  /** The server's own log. */
  log(): string;
  connect(changes?: Partial<ConnectOptions> & { readonly login?: Partial<GuestAccess> }): Promise<Guest>;
}

export interface TestGuestOptions {
  readonly server: 'openssh' | 'dropbear';
  /** Lines for sshd_config. */
  readonly configuration?: readonly string[];
  /** Login shell of root. */
  readonly shell?: string;
  /** Scripts that come first on the PATH. */
  readonly programs?: Readonly<Record<string, string>>;
  /** Added to the commands that lay out the guest; `$1` is the directory. */
  readonly layout?: string;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * Namespaces hide this machine's accounts, /etc, /run, /var/tmp and root's home behind those of the test, so that real programs do
 * their real work and nothing of this machine changes; what would switch the machine off is not there. A process namespace ends
 * everything with the server.
 */
const LAYOUT = `
set -eu
directory=$1
chown -R 4242:4242 "$directory/tester"
chown 0:0 "$directory/etc/sudoers" "$directory/etc/shadow"
mount --bind "$directory/home" /root
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -m 0755 /run/sshd
mount -t overlay -o "lowerdir=$directory/etc:/etc,upperdir=$directory/upper,workdir=$directory/work" overlay /etc
mount -t proc proc /proc
mount --bind "$directory/boot_id" /proc/sys/kernel/random/boot_id
`;

const NAMESPACES = [
  ...(isRoot ? [] : ['--user', '--map-root-user', '--map-auto']),
  ...['--mount', '--pid', '--uts', '--fork', '--kill-child'],
];

/** Shells for what must not happen for real, wherever the tests run. */
const HARMLESS: Readonly<Record<string, string>> = {
  reboot: 'exit 1',
  poweroff: 'exit 1',
  systemctl: 'exit 1',
  journalctl: 'exit 0',
  'cloud-init': 'echo "status: done"',
};

export async function createTestGuest(options: TestGuestOptions): Promise<TestGuest> {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-ssh-'));
  await chmod(directory, 0o755);
  const key = createBuildKey();
  const port = await freePort();
  for (const name of ['etc', 'upper', 'work']) await mkdir(join(directory, name));
  await writeFile(join(directory, 'boot_id'), 'first start\n');
  await mkdir(join(directory, 'home', '.ssh'), { recursive: true, mode: 0o700 });
  await writeFile(join(directory, 'home', '.ssh', 'authorized_keys'), `${key.publicKey}\n`, { mode: 0o600 });
  await mkdir(join(directory, 'bin'));
  for (const [name, text] of Object.entries({ ...HARMLESS, ...options.programs })) {
    await writeFile(join(directory, 'bin', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  await writeAccounts(directory, key, options.shell);
  await makeHostKey(options.server, directory);
  if (options.server === 'openssh') {
    await writeFile(join(directory, 'sshd_config'), sshdConfiguration(directory, port, options));
  }
  let server: ChildProcess | undefined;
  let log = '';
  const guest: TestGuest = {
    directory,
    key,
    port,
    log: () => log,
    start: async () => {
      const command =
        options.server === 'openssh'
          ? `/usr/sbin/sshd -D -e -f "$1/sshd_config"`
          : `dropbear -F -E -r "$1/host_key" -p 127.0.0.1:${port} -P "$1/dropbear.pid"`;
      server = spawn(
        'unshare',
        [...NAMESPACES, ...['sh', '-c', `${LAYOUT}${options.layout ?? ''}\nexec ${command}`, 'sh', directory]],
        {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { ...process.env, PATH: `${directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
        },
      );
      server.stdout?.on('data', (bytes) => (log += String(bytes)));
      server.stderr?.on('data', (bytes) => (log += String(bytes)));
      const started = server;
      const ready = /listening on|Not backgrounding/i;
      const from = log.length;
      for (let n = 0; !ready.test(log.slice(from)); n++) {
        if (started.exitCode !== null || n > 400) throw new Error(`the SSH server does not start: ${log}`);
        await pause(25);
      }
    },
    stop: async () => {
      const ending = server;
      server = undefined;
      if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
      const ended = once(ending, 'exit');
      ending.kill('SIGKILL');
      await ended;
      // Its namespace goes a moment later.
      while (await isOpen(port)) await pause(10);
    },
    connect: ({ login, ...changes } = {}) =>
      connectGuest({
        endpoint: { host: '127.0.0.1', port },
        access: { user: 'root', port: 22, timeout: 20_000, become: 'none', ...login },
        key,
        timeout: 20_000,
        signal: new AbortController().signal,
        ...changes,
      }),
    [Symbol.asyncDispose]: async () => {
      await guest.stop();
      // For an ordinary user, some of it belongs to subordinate ids.
      execFileSync('unshare', [...NAMESPACES, 'rm', '-rf', directory]);
    },
  };
  await guest.start();
  return guest;
}

/** Root and `tester` beside the users that this machine's services need. */
async function writeAccounts(directory: string, key: BuildKey, shell = '/bin/sh'): Promise<void> {
  const hash = execFileSync('openssl', ['passwd', '-6', '-salt', 'polyvisor', '-stdin'], { input: `${PASSWORD}\n` });
  const others = async (name: string) =>
    (await readFile(`/etc/${name}`, 'utf8'))
      .split('\n')
      .filter((line) => /^(?:sshd|nobody|nogroup|daemon):/.test(line));
  const write = (name: string, lines: readonly string[], mode: number) =>
    writeFile(join(directory, 'etc', name), `${lines.join('\n')}\n`, { mode });
  const tester = join(directory, 'tester');
  const secret = `${hash.toString().trim()}:19000:0:99999:7:::`;
  await write(
    'passwd',
    [`root:x:0:0:root:/root:${shell}`, ...(await others('passwd')), `tester:x:4242:4242::${tester}:/bin/sh`],
    0o644,
  );
  await write('group', ['root:x:0:', ...(await others('group')), 'tester:x:4242:', 'helpers:x:4300:'], 0o644);
  await write('shadow', [`root:${secret}`, `tester:${secret}`], 0o640);
  await write(
    'sudoers',
    ['Defaults env_reset, use_pty', 'root ALL=(ALL:ALL) ALL', 'tester ALL=(ALL:ALL) ALL', '@includedir /etc/sudoers.d'],
    0o440,
  );
  await write('hosts', ['127.0.0.1 localhost', '127.0.1.1 before'], 0o644);
  await mkdir(join(tester, '.ssh'), { recursive: true, mode: 0o700 });
  await writeFile(join(tester, '.ssh', 'authorized_keys'), `${key.publicKey}\n`, { mode: 0o600 });
}

/** Another one each time it is called: as a guest that was sealed makes itself. */
export async function makeHostKey(server: TestGuestOptions['server'], directory: string): Promise<void> {
  const path = join(directory, 'host_key');
  await rm(path, { force: true });
  await rm(`${path}.pub`, { force: true });
  if (server === 'openssh') execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path]);
  else execFileSync('dropbearkey', ['-t', 'ed25519', '-f', path], { stdio: 'ignore' });
}

function sshdConfiguration(
  directory: string,
  port: number,
  { configuration = [], shell: _ }: TestGuestOptions,
): string {
  return [
    ...configuration,
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${directory}/host_key`,
    `PidFile ${directory}/sshd.pid`,
    'PermitRootLogin yes',
    'PasswordAuthentication yes',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    'StrictModes no',
    `SetEnv PATH=${directory}/bin:/usr/local/bin:/usr/bin:/bin`,
    '',
  ].join('\n');
}

/** Processes of this machine, those of test guests included, whose command line has this in it. */
export async function processesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '');
    if (line.includes(text)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}
