import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { endProcesses, findProcesses } from './processes.js';

/** Name of the file that says whose machine runs where, for those who clean up after a killed run. */
export const STATE_FILE = 'virtualbox-state.json';

/** Where VirtualBox makes the socket of its service, whatever TMPDIR says. */
const SOCKETS = '/tmp';

/**
 * Settings, registry and service of VirtualBox for one machine alone: neither the user's own machines nor those of another
 * build are in it, and it can be removed whole.
 */
export interface Home {
  /** Holds all that VirtualBox writes. */
  readonly directory: string;
  /** What every command needs to mean this one. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names the service's socket; short, for paths of sockets are. */
  readonly socket: string;
  /** Of the machine in it. */
  readonly uuid: string;
}

const stateSchema = z.object({
  directory: z.string(),
  socket: z.string().regex(/^polyvisor-[0-9a-f]+$/),
  uuid: z.uuid(),
});

/** Below `workDir`, which is used by no other. */
export async function makeHome(workDir: string): Promise<Home> {
  const home = homeIn(workDir);
  await mkdir(join(home.directory, 'home'), { recursive: true });
  const { directory, socket, uuid } = home;
  await writeFile(join(workDir, STATE_FILE), `${JSON.stringify({ directory, socket, uuid })}\n`);
  return home;
}

/** What a run left in `workDir`; undefined when that file is none of ours, or was brought there from elsewhere. */
export async function findHome(workDir: string): Promise<Home | undefined> {
  try {
    const state = stateSchema.parse(JSON.parse(await readFile(join(workDir, STATE_FILE), 'utf8')));
    const home = homeIn(workDir);
    return state.socket === home.socket && state.uuid === home.uuid ? home : undefined;
  } catch {
    return undefined;
  }
}

/** Ends whatever still runs in it and removes it. */
export async function removeHome(home: Home, workDir: string): Promise<void> {
  const processes = await findProcesses(home);
  await endProcesses(
    processes.filter(({ kind }) => kind === 'machine'),
    'SIGKILL',
  );
  // The service ends by itself some seconds after its last client, and then leaves its socket behind.
  await endProcesses(await findProcesses(home), 'SIGTERM');
  await rm(join(SOCKETS, `.vbox-${home.socket}-ipc`), { recursive: true, force: true });
  await rm(home.directory, { recursive: true, force: true });
  await rm(join(workDir, STATE_FILE), { force: true });
}

function homeIn(workDir: string): Home {
  const hash = createHash('sha256').update(workDir).digest('hex');
  const directory = join(workDir, 'virtualbox');
  const socket = `polyvisor-${hash.slice(0, 16)}`;
  return {
    directory,
    socket,
    environment: { VBOX_USER_HOME: join(directory, 'home'), VBOX_IPC_SOCKETID: socket },
    uuid: `${hash.slice(16, 24)}-${hash.slice(24, 28)}-4${hash.slice(28, 31)}-8${hash.slice(31, 34)}-${hash.slice(34, 46)}`,
  };
}
