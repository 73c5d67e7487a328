import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  errorKind,
  type FailureScene,
  type GuestAccess,
  type Logger,
  type PolyvisorError,
  type ProvisionJob,
} from '@polyvisor/core';
import { type AnswerServer, describeRequest } from '../answers/index.js';
import type { BuildKey } from '../ssh/build-key.js';
import type { Attended } from './attended.js';
import { duration } from './time.js';

/** How long a last look at the screen may take, in milliseconds. */
const LAST_LOOK = 5000;

/** What there is to look at when something goes wrong. Filled while a run goes on. */
export class Scene {
  attended: Attended | undefined;
  server: AnswerServer | undefined;
  disk: string | undefined;
  /** How one logs in, once that was seen to work. */
  guest: { readonly access: GuestAccess; readonly key: BuildKey } | undefined;
  /** What is done while there is no machine, as it follows "while". */
  doing = 'preparing';
  readonly #job: ProvisionJob;
  readonly #log: Logger;
  readonly #started = performance.now();

  constructor(job: ProvisionJob, log: Logger) {
    this.#job = job;
    this.#log = log;
  }

  /** Saves everything that helps to find out why, names it in the error's hint, and shows what is left to whoever asked. */
  async failed(error: unknown): Promise<void> {
    const files = await this.#save(error);
    if (errorKind(error) !== undefined && errorKind(error) !== 'definition' && files.length > 0) {
      const { hint } = error as PolyvisorError;
      Object.defineProperty(error, 'hint', {
        value: `${hint === undefined ? '' : `${hint}; `}see ${files.join(', ')}`,
        enumerable: true,
        configurable: true,
      });
    }
    if (this.#job.onFailure === undefined) return;
    const login = await this.#login();
    await this.#job.onFailure(error, {
      ...(login === undefined ? {} : { login }),
      files: [...files, ...(this.disk === undefined ? [] : [this.disk])],
    } satisfies FailureScene);
  }

  async #save(error: unknown): Promise<string[]> {
    const { attended, server } = this;
    const files: string[] = [];
    const save = async (name: string, content: string | Uint8Array) => {
      const path = join(this.#job.logDir, name);
      try {
        await writeFile(path, content);
        files.push(path);
      } catch (problem) {
        this.#log.warn(`cannot write ${path}: ${(problem as Error).message}`);
      }
    };
    if (attended !== undefined) {
      await attended.console.poll().catch(() => undefined);
      await attended.screen.look(attended.machine, AbortSignal.timeout(LAST_LOOK));
      // The hypervisor has written it; an empty one tells nothing.
      if (attended.console.bytes > 0) files.push(attended.spec.serialLog);
      if (attended.screen.png !== undefined) await save('screen.png', attended.screen.png);
    }
    if (server !== undefined)
      await save(
        'answers.log',
        `${[`offered: ${server.offered.join(', ')}`, ...server.requests.map(stamped)].join('\n')}\n`,
      );
    if (attended !== undefined || server !== undefined) await save('failure.txt', this.#summary(error));
    return files;
  }

  #summary(error: unknown): string {
    const { attended } = this;
    const lines = [
      `failed after ${duration(performance.now() - this.#started)}, while ${attended?.waiting ?? this.doing}`,
      error instanceof Error ? error.message : String(error),
    ];
    if (attended !== undefined) {
      lines.push(
        `the screen showed the same for ${duration(attended.screen.stillFor)}, the console said nothing for ${duration(attended.console.stillFor)}`,
        'the last lines of the console:',
        ...attended.console.text.tail(20),
      );
    }
    return `${lines.join('\n')}\n`;
  }

  /** Only of a machine that runs, and in which somebody was let in before. */
  async #login(): Promise<readonly string[] | undefined> {
    const { attended, guest } = this;
    if (attended === undefined || guest === undefined) return undefined;
    if ((await attended.stopReason()) !== undefined) return undefined;
    const key = join(this.#job.workDir, 'build-key');
    await rm(key, { force: true });
    await guest.key.writeTo(key);
    const { host, port } = await attended.machine.endpoint(guest.access.port);
    return loginCommand(guest.access.user, host, port, key);
  }
}

/** The guest is new and its host key is nobody's business. */
export function loginCommand(user: string, host: string, port: number, key: string): readonly string[] {
  const options = ['IdentitiesOnly=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
  return ['ssh', '-i', key, '-p', String(port), ...options.flatMap((option) => ['-o', option]), `${user}@${host}`];
}

function stamped(request: AnswerServer['requests'][number]): string {
  return `${new Date(request.time).toISOString()} ${describeRequest(request)}`;
}
