/** Exit codes are those of the command itself; docs/errors.md lists them. */
export const EXIT_USAGE = 2;
export const EXIT_ENVIRONMENT = 3;
export const EXIT_BUG = 70;

/** Something of this machine is missing; ends the task with exit code 3 and the message, without a stack. */
export class EnvironmentProblem extends Error {}

/** One line a step, on standard error, so that what the task itself prints can be redirected. */
export function say(line) {
  process.stderr.write(`[setup] ${line}\n`);
}
