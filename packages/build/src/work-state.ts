import { open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a work directory says about itself, so that who finds it later knows how to remove what belongs to it. */
export interface WorkState {
  readonly schema: 1;
  readonly command: 'build' | 'boot';
  /** Id of the provisioner at work; it alone knows what is outside of the directory. */
  readonly provisioner?: string;
  /** What was being made: the definition's document, or the image. */
  readonly subject: string;
  /** ISO 8601. */
  readonly started: string;
}

const NAME = 'polyvisor-run.json';
/** Of any state that we wrote, in bytes. */
const LONGEST = 64 * 1024;

/** The provisioner's part of a work directory. */
export function provisionDirectory(workDir: string): string {
  return join(workDir, 'provision');
}

/** Written before anything else is in the directory; whole or not at all. */
export async function writeWorkState(directory: string, state: Omit<WorkState, 'schema' | 'started'>): Promise<void> {
  const text = JSON.stringify({ schema: 1, ...state, started: new Date().toISOString() });
  const path = join(directory, NAME);
  await writeFile(`${path}.part`, `${text}\n`);
  await rename(`${path}.part`, path);
}

/** Undefined where there is none: the run was killed before it did anything. */
export async function readWorkState(directory: string): Promise<WorkState | undefined> {
  const file = await open(join(directory, NAME)).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(LONGEST), 0, LONGEST, 0);
    const state = JSON.parse(buffer.toString('utf8', 0, bytesRead)) as Partial<WorkState> | null;
    const { command, provisioner, subject, started } = state ?? {};
    if (typeof command !== 'string' || typeof subject !== 'string' || typeof started !== 'string') return undefined;
    return { schema: 1, command, subject, started, ...(typeof provisioner === 'string' ? { provisioner } : {}) };
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}
