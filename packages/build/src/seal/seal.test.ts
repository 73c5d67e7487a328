import { execFile } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SEAL_OPERATION_NAMES } from './operations.js';
import { sealScript } from './script.js';

const execute = promisify(execFile);

/** What is in the guest before, and what must be there afterwards: `gone`, `empty`, or its content. */
const FILES: Readonly<Record<string, readonly [before: string, after: string]>> = {
  'etc/machine-id': ['0123456789abcdef0123456789abcdef\n', 'empty'],
  'etc/hostname': ['sample\n', 'sample\n'],
  'etc/passwd': ['root:x:0:0::/root:/bin/sh\n', 'root:x:0:0::/root:/bin/sh\n'],
  'etc/passwd-': ['root', 'gone'],
  'etc/shadow-': ['root', 'gone'],
  'etc/ssh/ssh_host_ed25519_key': ['key', 'gone'],
  'etc/ssh/ssh_host_ed25519_key.pub': ['key', 'gone'],
  'etc/ssh/sshd_config': ['PermitRootLogin no\n', 'PermitRootLogin no\n'],
  'etc/udev/rules.d/70-persistent-net.rules': ['rule', 'gone'],
  'etc/udev/rules.d/80-mine.rules': ['rule', 'rule'],
  'etc/iscsi/initiatorname.iscsi': ['InitiatorName=iqn.1993-08.org.debian:01:abc\n', 'GenerateName=yes\n'],
  'etc/adjtime': ['0.0', 'gone'],
  'var/lib/systemd/random-seed': ['seed', 'gone'],
  'var/lib/systemd/credential.secret': ['secret', 'gone'],
  'var/lib/systemd/timers/stamp-apt-daily.timer': ['x', 'gone'],
  'var/lib/systemd/deb-systemd-helper-enabled/ssh.service.dsh-also': ['x', 'x'],
  'var/lib/dhcp/dhclient.eth0.leases': ['lease', 'gone'],
  'var/lib/NetworkManager/secret_key': ['key', 'gone'],
  'var/lib/cloud/instances/i-1/boot-finished': ['x', 'gone'],
  'var/lib/cloud/seed/nocloud/user-data': ['#cloud-config\n', '#cloud-config\n'],
  'var/lib/cloud/scripts/per-instance/mine': ['#!/bin/sh\n', '#!/bin/sh\n'],
  'var/lib/apt/lists/mirror.example_dists_bookworm_InRelease': ['list', 'gone'],
  'var/lib/apt/extended_states': ['state', 'state'],
  'var/cache/apt/pkgcache.bin': ['cache', 'gone'],
  'var/cache/apt/archives/bash.deb': ['deb', 'gone'],
  'var/cache/ldconfig/aux-cache': ['cache', 'gone'],
  'var/lib/dpkg/status': ['status', 'status'],
  'var/lib/dpkg/status-old': ['status', 'gone'],
  'var/backups/dpkg.status.0': ['x', 'gone'],
  'var/log/dpkg.log': ['installed\n', 'empty'],
  'var/log/apt/history.log': ['installed\n', 'empty'],
  'var/log/syslog.1': ['old', 'gone'],
  'var/log/apt/term.log.1.gz': ['old', 'gone'],
  'var/log/journal/0123/system.journal': ['journal', 'gone'],
  'var/log/a name with spaces.log': ['x', 'empty'],
  'root/.bash_history': ['secret command\n', 'gone'],
  'root/.bashrc': ['PS1=x\n', 'PS1=x\n'],
  'root/.ssh/authorized_keys': ['key\n', 'key\n'],
  'root/.ssh/known_hosts': ['host\n', 'gone'],
  'home/admin/.python_history': ['x\n', 'gone'],
  'tmp/leftover/file': ['x', 'gone'],
  'tmp/.hidden': ['x', 'gone'],
  'var/tmp/x': ['x', 'gone'],
  'var/mail/root': ['mail', 'gone'],
  'usr/lib/systemd/systemd': ['', ''],
};

describe('sealScript', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "seal it's "));
    for (const [name, [before]] of Object.entries(FILES)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), before);
    }
    await mkdir(join(root, 'var/lib/dbus'), { recursive: true });
    await writeFile(join(root, 'var/lib/dbus/machine-id'), '0123\n');
  });

  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  async function seal(keep: readonly string[] = []): Promise<string[]> {
    const script = join(root, '..', `${root.split('/').pop() ?? ''}.sh`);
    await writeFile(script, sealScript({ root, keep }));
    try {
      const { stdout, stderr } = await execute('sh', [script], { env: { PATH: process.env['PATH'] } });
      expect(stderr).toBe('');
      return stdout.split('\n').filter((line) => line !== '');
    } finally {
      await rm(script);
    }
  }

  async function stateOf(name: string): Promise<string> {
    const text = await readFile(join(root, name), 'utf8').catch(() => 'gone');
    return text === '' && FILES[name]?.[1] !== '' ? 'empty' : text;
  }

  it('resets what it should, nothing else, and says so', async () => {
    const lines = await seal();
    for (const [name, [, after]] of Object.entries(FILES)) expect(await stateOf(name), name).toBe(after);
    expect(await readlink(join(root, 'var/lib/dbus/machine-id'))).toBe('/etc/machine-id');
    expect((await lstat(join(root, 'etc/machine-id'))).mode & 0o777).toBe(0o444);
    for (const line of [
      'machine-id: /etc/machine-id',
      'ssh-host-keys: /etc/ssh/ssh_host_ed25519_key',
      'package-cache: /var/lib/apt/lists (1 package lists)',
      'temporary-files: /tmp (3 entries)',
      'logs: /var/log/a name with spaces.log',
    ]) {
      expect(lines).toContain(line);
    }
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    expect(lines.join('\n')).not.toContain(root);
  });

  it('has nothing to say the second time, but for what is written anew', async () => {
    await seal();
    expect(await seal()).toEqual(['machine-id: /etc/machine-id', 'machine-id: /var/lib/dbus/machine-id']);
  });

  it('leaves out what is to be kept', async () => {
    await seal(['ssh-host-keys', 'logs']);
    expect(await stateOf('etc/ssh/ssh_host_ed25519_key')).toBe('key');
    expect(await stateOf('var/log/dpkg.log')).toBe('installed\n');
    expect(await stateOf('etc/machine-id')).toBe('empty');
  });

  it('does nothing at all when everything is kept', async () => {
    expect(await seal(SEAL_OPERATION_NAMES)).toEqual([]);
  });

  it('follows no symbolic link', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'seal-outside-'));
    try {
      await writeFile(join(outside, 'precious.log'), 'precious');
      await rm(join(root, 'var/log'), { recursive: true });
      await rm(join(root, 'var/tmp'), { recursive: true });
      await symlink(outside, join(root, 'var/log'));
      await symlink(outside, join(root, 'var/tmp'));
      await symlink(outside, join(root, 'tmp', 'link'));
      await symlink(join(outside, 'precious.log'), join(root, 'root', '.zsh_history'));
      await seal();
      expect(await readFile(join(outside, 'precious.log'), 'utf8')).toBe('precious');
    } finally {
      await rm(outside, { recursive: true });
    }
  });

  it('warns of an SSH server whose keys nothing makes again', async () => {
    await mkdir(join(root, 'usr/sbin'), { recursive: true });
    await writeFile(join(root, 'usr/sbin/sshd'), '');
    expect(await seal()).toContainEqual(expect.stringMatching(/^warning: an SSH server is installed/));
    await mkdir(join(root, 'etc/systemd/system'), { recursive: true });
    await writeFile(join(root, 'etc/systemd/system/ssh-host-keys.service'), 'ExecStart=/usr/bin/ssh-keygen -A\n');
    expect((await seal()).join('\n')).not.toContain('warning');
  });

  it('works in an empty guest', async () => {
    await rm(root, { recursive: true });
    await mkdir(root);
    expect(await seal()).toEqual([]);
    expect(await readdir(root)).toEqual([]);
  });

  it('is POSIX shell, every subset of it', async () => {
    const script = join(root, 'script.sh');
    for (const keep of [[], ...SEAL_OPERATION_NAMES.map((name) => [name])]) {
      await writeFile(script, sealScript({ keep }));
      await execute('sh', ['-n', script]);
    }
  });

  it('starts at the root when no other is given', () => {
    expect(sealScript()).toContain("\nroot=''\n");
  });
});
