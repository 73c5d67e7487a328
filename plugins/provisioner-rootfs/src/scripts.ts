import {
  type Appliance,
  type Emit,
  errorKind,
  GuestError,
  type Logger,
  type PolyvisorError,
  type Script,
} from '@polyvisor/core';
import type { Sandbox } from './sandbox.js';

/** Lines of a script's output that an error shows. */
const SHOWN = 20;

const ANY_EXIT_CODE = Array.from({ length: 256 }, (_, code) => code);

/** What scripts learn about the appliance, besides their own variables. */
export function scriptEnvironment(appliance: Appliance, script: Script): Record<string, string> {
  return {
    POLYVISOR_NAME: appliance.name,
    POLYVISOR_VERSION: appliance.version,
    POLYVISOR_ARCHITECTURE: appliance.architecture,
    ...script.environment,
  };
}

/** What a script wants whoever builds to read; everything else that it says is for the log. */
const WARNING = /^warning: */i;

/** Runs the definition's scripts in order, each in a process namespace of its own, as the guest's root with `/` as its directory. */
export async function runScripts(sandbox: Sandbox, appliance: Appliance, log: Logger, emit: Emit): Promise<void> {
  for (const script of appliance.scripts) {
    await runScript(sandbox, script.name, script.path, {
      env: scriptEnvironment(appliance, script),
      timeout: script.timeout,
      onLine: (line) => {
        emit({ type: 'waiting', stage: 'customise', message: `${script.name}: ${line}` });
        logLine(log, script.name, line);
      },
    });
  }
}

/** Passes on what a script says; returns whether it was a warning. */
export function logLine(log: Logger, script: string, line: string): boolean {
  const isWarning = WARNING.test(line);
  if (isWarning) log.warn(`${script}: ${line.replace(WARNING, '')}`);
  else log.debug(`${script}: ${line}`);
  return isWarning;
}

interface Running {
  readonly env?: Readonly<Record<string, string>>;
  /** In milliseconds. */
  readonly timeout: number;
  readonly onLine: (line: string) => void;
}

/** `path` is a file of this machine; it is put into the guest's `/run`, which is not part of the disk. */
export async function runScript(
  sandbox: Sandbox,
  name: string,
  path: string,
  { env, timeout, onLine }: Running,
): Promise<void> {
  const inGuest = '/run/polyvisor-script';
  await sandbox.shell('cp "$1" "$2"; chmod 0700 "$2"', [path, `${sandbox.root}${inGuest}`]);
  const last: string[] = [];
  const keep = (line: string) => {
    last.push(line);
    if (last.length > SHOWN) last.shift();
    onLine(line);
  };
  const failure = (code: string, what: string, hint: string, cause?: unknown) =>
    new GuestError(code, `the script ${name} ${what}`, { transcript: last.join('\n'), hint, cause });
  let exitCode: number;
  try {
    const options = { timeout, onLine: keep, acceptExitCodes: ANY_EXIT_CODE, ...(env === undefined ? {} : { env }) };
    ({ exitCode } = await sandbox.chroot('env', ['--chdir=/', inGuest], options));
  } catch (error) {
    if (errorKind(error) !== 'environment') throw error;
    if ((error as PolyvisorError).code === 'command-timeout') {
      throw failure(
        'script-timeout',
        `was still running after ${timeout / 1000} s and was ended, with all that it had started`,
        'give it a longer `timeout`, or see why it waits: there is no terminal and no answer to a question',
        error,
      );
    }
    throw failure('script-failed', 'was killed', 'was there not enough memory? see the kernel log (`dmesg`)', error);
  }
  if (exitCode === 0) return;
  if (exitCode === 126 || exitCode === 127) {
    throw failure(
      'script-failed',
      `ended with exit code ${exitCode}: a program is missing in the guest, or cannot be run`,
      "does its first line name an interpreter that the guest has, such as #!/bin/sh, and are its line ends Unix's?",
    );
  }
  throw failure(
    'script-failed',
    `ended with exit code ${exitCode}`,
    'its last lines are above; `--on-error keep` leaves the work directory',
  );
}
