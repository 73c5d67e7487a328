import { EnvironmentError, type PluginContext, type RunResult } from '@polyvisor/core';
import { complaintOf, isPassing } from './complaint.js';
import { explain } from './explain.js';
import { parseMachineReadable } from './machine-readable.js';
import { parseVersion, type Version } from './version.js';
import { pause } from './time.js';

/** For one command, in milliseconds: they take a few hundredths of a second, and more on a busy computer. */
const LIMIT = 120_000;

/** How long a machine that another command holds is asked again, and how often, in milliseconds. */
const BUSY_LIMIT = 10_000;
const BUSY_RETRY = 100;

/** VirtualBox's exit codes: done, failed, wrong usage. */
const EXIT_CODES = [0, 1, 2];

/** The command line of one VirtualBox, with the settings that the environment names. */
export class Manage {
  readonly context: PluginContext;
  readonly command: string;
  readonly environment: Readonly<Record<string, string>>;

  constructor(context: PluginContext, command: string, environment: Readonly<Record<string, string>> = {}) {
    this.context = context;
    this.command = command;
    this.environment = environment;
  }

  /**
   * Runs a command and returns its stdout. `purpose` is for messages and follows "VirtualBox cannot". A machine that another
   * command still holds is waited for.
   */
  async run(purpose: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const deadline = performance.now() + BUSY_LIMIT;
    for (;;) {
      const result = await this.#once(args, signal);
      if (result.exitCode === 0) return result.stdout;
      const complaint = complaintOf(result.stderr.trim() === '' ? result.stdout : result.stderr);
      if (!isPassing(complaint) || performance.now() > deadline) throw failure(purpose, args, complaint.text);
      await pause(BUSY_RETRY, signal);
    }
  }

  /** All that VirtualBox says about a machine, by name. */
  async show(machine: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    return parseMachineReadable(
      await this.run(`say how the machine ${machine} is made`, ['showvminfo', machine, '--machinereadable'], signal),
    );
  }

  /** Such as `running`, `poweroff`, `aborted`. */
  async state(machine: string, signal: AbortSignal): Promise<string> {
    return (await this.show(machine, signal)).get('VMState') ?? '';
  }

  async version(signal: AbortSignal): Promise<Version> {
    const output = await this.run('say its version', ['--version'], signal);
    const version = parseVersion(output);
    if (version !== undefined) return version;
    throw new EnvironmentError(
      'virtualbox-version',
      `${this.command} --version names no version of VirtualBox, but ${JSON.stringify(output.trim().slice(-200))}`,
      { hint: 'is it VirtualBox? name the right one with the option vboxmanage' },
    );
  }

  #once(args: readonly string[], signal: AbortSignal): Promise<RunResult> {
    const options = { env: this.environment, signal, timeout: LIMIT, acceptExitCodes: EXIT_CODES };
    return this.context.run(this.command, args, options);
  }
}

function failure(purpose: string, args: readonly string[], words: string): EnvironmentError {
  return new EnvironmentError('virtualbox-failed', `VirtualBox cannot ${purpose}: ${words}`, {
    hint: explain(words)?.hint ?? `the command was \`VBoxManage ${args.join(' ')}\`; --verbose shows all of them`,
  });
}
