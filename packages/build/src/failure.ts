import { copyFile, link, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Emit, type FailureScene, ioError } from '@polyvisor/core';
import type { BuildOptions } from './options.js';

/** What is done about what a failed build leaves: `shell` logs in to the guest first. */
export type Answer = 'cleanup' | 'keep' | 'shell';

/** What a person can still look at. */
export interface Leavings {
  /** Directories that would be kept. */
  readonly places: readonly string[];
  /** Command that logs in to the guest; absent where nothing can. */
  readonly login?: readonly string[];
}

/** Folder, in a work directory that is kept, of what the provisioner would have removed. */
const KEPT = 'kept';

/**
 * Decides once what becomes of the leavings of a failed build: when the provisioner fails, while the guest is still there, or
 * afterwards. Whatever is answered, a build that is cancelled cleans up.
 */
export class FailureHandler {
  readonly #options: Pick<BuildOptions, 'onError' | 'ask' | 'shell' | 'signal'>;
  readonly #emit: Emit;
  #decided: 'cleanup' | 'keep' | undefined;

  constructor(options: Pick<BuildOptions, 'onError' | 'ask' | 'shell' | 'signal'>, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
  }

  /** Whether a provisioner is to stop and show what it has. */
  get wantsScene(): boolean {
    return this.#options.onError !== 'cleanup';
  }

  /** With the guest still there. What is to be kept is kept when the promise settles. */
  async atScene(error: unknown, scene: FailureScene, workDir: string): Promise<void> {
    if (this.#options.signal.aborted) return;
    const answer = await this.decide(error, {
      places: [workDir],
      ...(scene.login === undefined ? {} : { login: scene.login }),
    });
    if (answer !== 'keep') return;
    // The failure itself matters more than what could not be kept of it.
    await keepFiles(scene.files, workDir).catch((problem: unknown) => this.#warn(String(problem)));
  }

  /** Asks, or logs in, until it is clear what is to be done; the second time the answer is the same. */
  async decide(error: unknown, leavings: Leavings): Promise<'cleanup' | 'keep'> {
    const { onError, ask, signal } = this.#options;
    while (this.#decided === undefined) {
      const answer = onError === 'ask' ? ((await ask?.(error, leavings)) ?? 'cleanup') : onError;
      if (signal.aborted) return 'cleanup';
      if (answer === 'shell') await this.#login(leavings);
      if (answer !== 'shell') this.#decided = answer;
      else if (onError !== 'ask') this.#decided = 'cleanup';
    }
    return this.#decided;
  }

  async #login({ login }: Leavings): Promise<void> {
    if (login === undefined) {
      this.#warn('there is no guest that could be logged in to, so there is no shell');
      return;
    }
    await this.#options.shell?.(login);
  }

  #warn(message: string): void {
    this.#emit({ type: 'log', level: 'warn', scope: 'build', message });
  }
}

/** Another name for each file, so that it stays when the provisioner removes its own. */
async function keepFiles(files: readonly string[], workDir: string): Promise<void> {
  const folder = join(workDir, KEPT);
  const used = new Set<string>();
  for (const file of files) {
    let name = basename(file);
    for (let count = 2; used.has(name); count++) name = `${count}-${basename(file)}`;
    used.add(name);
    try {
      await mkdir(folder, { recursive: true });
      await link(file, join(folder, name)).catch(async (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        await copyFile(file, join(folder, name));
      });
    } catch (error) {
      throw ioError(error, `cannot keep ${file}`);
    }
  }
}
