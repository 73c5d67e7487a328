import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { DefinitionError, GuestError, type PolyvisorError } from '@polyvisor/core';
import type { ExecResult } from '../ssh/guest.js';
import { readFileBytes } from '../ssh/tree.js';
import type { Work } from './work.js';

/**
 * The script comes on the standard input, is put where programs may run (Debian's /run is not such a place on every system),
 * run, and removed again. `$1` name of the directory, `$2` size. The first line is for us: the number of this start.
 */
const PLACE_AND_RUN = `
set -eu
printf 'boot %s\\n' "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || true)"
umask 077
for place in /run /tmp /var/tmp /root; do
  directory=$place/$1
  mkdir "$directory" 2>/dev/null || { directory=; continue; }
  printf '#!/bin/sh\\nexit 0\\n' >"$directory/try"
  chmod 0700 "$directory/try"
  if "$directory/try" 2>/dev/null; then break; fi
  rm -rf "$directory"
  directory=
done
[ -n "$directory" ] && [ -d "$directory" ] || { echo 'no place in the guest lets programs run' >&2; exit 125; }
rm "$directory/try"
cat >"$directory/script"
size=$(wc -c <"$directory/script")
[ "$((size))" -eq "$2" ] || { echo "only $((size)) of $2 bytes arrived" >&2; exit 125; }
chmod 0700 "$directory/script"
umask 022
cd /
code=0
HOME=/root DEBIAN_FRONTEND=noninteractive "$directory/script" </dev/null || code=$?
rm -rf "$directory"
exit "$code"
`;

export interface ScriptRun {
  /** For messages. */
  readonly name: string;
  /** On this machine; or the text itself. */
  readonly path?: string;
  readonly text?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** In milliseconds. */
  readonly timeout: number;
  readonly acceptExitCodes: readonly number[];
  /** Called before the script runs. */
  readonly onBootId?: (id: string) => void;
  readonly onLine: (line: string) => void;
}

/** Runs a script in the guest as root. Rejects with `script-failed`, `script-timeout`, or as `Guest.exec` does. */
export async function runScript({ guest, signal }: Work, script: ScriptRun): Promise<ExecResult> {
  const { name, timeout, acceptExitCodes, environment = {} } = script;
  const { input, size } = await contentOf(script);
  let first = true;
  const kept: string[] = [];
  const onLine = (line: string, stream: string) => {
    if (first && stream === 'stdout') {
      first = false;
      return script.onBootId?.(line.replace(/^boot ?/, ''));
    }
    kept.push(line);
    if (kept.length > 20) kept.shift();
    script.onLine(line);
  };
  const failure = (code: string, what: string, hint: string, cause?: unknown) =>
    new GuestError(code, `the script ${name} ${what}`, { transcript: kept.join('\n'), hint, cause });
  let result: ExecResult;
  try {
    result = await guest.exec(PLACE_AND_RUN, {
      root: true,
      arguments: [`polyvisor-${randomBytes(8).toString('hex')}`, String(size)],
      environment,
      input,
      timeout,
      acceptExitCodes: 'any',
      purpose: `running the script ${name}`,
      onLine,
      signal,
    });
  } catch (error) {
    if ((error as Partial<PolyvisorError>).code !== 'guest-command-timeout') throw error;
    throw failure(
      'script-timeout',
      `was still running after ${timeout / 1000} s and was ended, with all that it had started`,
      'give it a longer `timeout`, or see why it waits: there is no terminal and no answer to a question',
      error,
    );
  }
  const { exitCode } = result;
  if (acceptExitCodes.includes(exitCode)) return result;
  if (exitCode === 126 || exitCode === 127) {
    throw failure(
      'script-failed',
      `ended with exit code ${exitCode}: a program is missing in the guest, or cannot be run`,
      "does its first line name an interpreter that the guest has, such as #!/bin/sh, and are its line ends Unix's?",
    );
  }
  throw failure(
    'script-failed',
    exitCode > 128 && exitCode < 160 ? `was killed by signal ${exitCode - 128}` : `ended with exit code ${exitCode}`,
    exitCode === 137
      ? 'was there not enough memory in the guest? its serial log shows it'
      : 'its last lines are above; `--on-error shell` lets you look around in the guest',
  );
}

async function contentOf({ path, text = '' }: ScriptRun) {
  if (path === undefined) return { input: text, size: Buffer.byteLength(text) };
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new DefinitionError('file-missing', `there is no script ${path}`, { cause });
  });
  return { input: readFileBytes(path, size), size };
}
