import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeHome, removeHome } from './home.js';
import { launch } from './launch.js';
import { MachineLog } from './machine-log.js';
import { Manage } from './manage.js';

/** Of the machine that is tried. */
const NAME = 'polyvisor-trial';

/**
 * Makes a machine without a disk, starts it and ends it: whether VirtualBox runs guests here is found out in no other way.
 * Rejects with why it does not. Nothing stays.
 */
export async function tryMachine(
  manage: Manage,
  engine: 'default' | 'interpreter',
  headless: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const workDir = await mkdtemp(join(tmpdir(), 'polyvisor-virtualbox-'));
  try {
    const home = await makeHome(workDir);
    try {
      const own = new Manage(manage.context, manage.command, home.environment);
      const folder = join(home.directory, 'machines');
      await mkdir(folder);
      const create = ['--name', NAME, '--ostype', 'Other', '--uuid', home.uuid, '--basefolder', folder, '--register'];
      await own.run('make a machine', ['createvm', ...create], signal);
      const chosen = engine === 'interpreter' ? ['--vm-execution-engine', 'interpreter'] : [];
      await own.run(
        'configure a machine',
        ['modifyvm', home.uuid, '--memory', '4', '--nic1', 'none', ...chosen],
        signal,
      );
      const log = new MachineLog(join(folder, NAME));
      const running = await launch({ manage: own, home, log, headless }, signal);
      await running.kill();
    } finally {
      await removeHome(home, workDir);
    }
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}
