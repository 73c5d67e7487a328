import { CommanderError } from '@commander-js/extra-typings';
import { reportOf } from './error-report.js';
import { ExitCode, exitCodeOf } from './exit-code.js';
import type { Io } from './io.js';
import { createProgram } from './program.js';
import { createSession, type GlobalOptions, type Session } from './session.js';

/**
 * Runs the command line and resolves to the process's exit code; never rejects. `args` are without the names of Node
 * and of the program.
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  let session: Session | undefined;
  const open = (options: GlobalOptions) => (session ??= createSession(io, options));
  const program = createProgram(open, {
    out: (text) => void io.stdout.write(text),
    err: (text) => void io.stderr.write(text),
  });
  let code: number;
  try {
    if (args.length === 0) {
      io.stderr.write(program.helpInformation());
      return ExitCode.definition;
    }
    await program.parseAsync([...args], { from: 'user' });
    code = session?.answeredNo === true ? ExitCode.no : ExitCode.ok;
  } catch (thrown) {
    // Whatever a run says that was ended from outside, that is why it failed.
    const error: unknown = io.signal.aborted ? io.signal.reason : thrown;
    if (error !== thrown)
      session?.emit({ type: 'log', level: 'debug', scope: 'polyvisor', message: `ended with: ${String(thrown)}` });
    if (error instanceof CommanderError) {
      // Help and version are "errors" with exit code 0; what commander refuses has been said already.
      code = error.exitCode === 0 ? ExitCode.ok : ExitCode.definition;
      const options = program.opts() as unknown as GlobalOptions;
      if (code !== ExitCode.ok && options.json === true) {
        const message = error.message.replace(/^error: /, '');
        open(options).renderer.error({ kind: 'definition', code: 'usage', message, exitCode: code });
      }
    } else {
      code = exitCodeOf(error);
      if (code !== ExitCode.outputClosed) {
        open(program.opts() as unknown as GlobalOptions).renderer.error(reportOf(error));
      }
    }
  }
  try {
    await session?.[Symbol.asyncDispose]();
  } catch (error) {
    session?.renderer.error(reportOf(error));
    code = code === ExitCode.ok ? exitCodeOf(error) : code;
  }
  return code;
}
