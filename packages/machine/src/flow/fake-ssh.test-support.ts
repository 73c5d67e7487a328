import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import ssh2, { type AuthContext, type Connection } from 'ssh2';

export interface FakeSshOptions {
  /** Root directory of the guest; see `makeGuestRoot`. */
  readonly root: string;
  /** Absent: no password is right. */
  readonly password?: string;
  /** The Base64 of the keys that are let in. */
  readonly keys: readonly string[];
}

/** An SSH server that lets `root` in and runs commands for real, in a root directory of the test's. */
export interface FakeSsh extends AsyncDisposable {
  readonly port: number;
  /** Cuts every connection and everything that runs. */
  kill(): void;
}

const isRoot = process.getuid?.() === 0;
const NAMESPACES = ['--mount', '--uts', ...(isRoot ? [] : ['--user', '--map-root-user'])];

/** This computer's programs, processes and devices; everything else is the guest's own. `$1` its root, `$2` a command. */
const ENTER = `
for name in usr proc dev etc/alternatives; do mount --rbind "/$name" "$1/$name"; done
mount -o remount,bind,ro "$1/usr" 2>/dev/null
exec chroot "$1" /bin/sh -c "$2"
`;

/** A directory that is the `/` of a guest with this computer's programs, and with nothing else of it that could be changed. */
export async function makeGuestRoot(directory: string): Promise<void> {
  for (const name of [
    'usr',
    'proc',
    'dev',
    'etc/alternatives',
    'etc/cloud',
    'root/.ssh',
    'tmp',
    'run',
    'var/tmp',
    'var/lib/dpkg/updates',
  ])
    await mkdir(join(directory, name), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(directory, name));
  await writeFile(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(directory, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(directory, 'etc/hostname'), 'unnamed\n');
  await writeFile(join(directory, 'etc/os-release'), 'PRETTY_NAME="A guest of the tests"\n');
  await writeFile(
    join(directory, 'var/lib/dpkg/status'),
    'Package: greeting\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: all\nVersion: 1.2\nDescription: says hello\n\n',
  );
  // This computer's own cloud-init is none of the guest's.
  await writeFile(join(directory, 'etc/cloud/cloud-init.disabled'), '');
}

// One for all servers: making one takes longer than a test.
const HOST_KEY = ssh2.utils.generateKeyPairSync('ed25519').private;

export async function startFakeSsh(options: FakeSshOptions): Promise<FakeSsh> {
  const children = new Set<ChildProcess>();
  const clients = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [HOST_KEY] }, (client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    client.on('error', () => undefined);
    client.on('authentication', (context) =>
      allowed(context, options) ? context.accept() : context.reject(['publickey', 'password']),
    );
    client.on('session', (accept) => {
      accept().on('exec', (accepted, _reject, { command }) => {
        const channel = accepted();
        const child = spawn('unshare', [...NAMESPACES, 'sh', '-c', ENTER, 'sh', options.root, command], {
          env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' },
          detached: true,
        });
        children.add(child);
        channel.pipe(child.stdin.on('error', () => undefined));
        child.stdout.pipe(channel, { end: false });
        child.stderr.pipe(channel.stderr, { end: false });
        child.on('close', (code) => {
          children.delete(child);
          channel.exit(code ?? 255);
          channel.end();
        });
        channel.on('error', () => undefined);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kill = () => {
    for (const { pid } of children) {
      if (pid === undefined) continue; // it never started, and 0 would be our own group
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // it has ended
      }
    }
    for (const client of clients) client.end();
  };
  return {
    port: (server.address() as AddressInfo).port,
    kill,
    [Symbol.asyncDispose]: async () => {
      kill();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

function allowed(context: AuthContext, { password, keys }: FakeSshOptions): boolean {
  if (context.username !== 'root') return false;
  if (context.method === 'password') return password !== undefined && context.password === password;
  return context.method === 'publickey' && keys.includes(context.key.data.toString('base64'));
}
