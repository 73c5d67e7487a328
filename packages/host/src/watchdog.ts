import { type ChildProcess, spawn } from 'node:child_process';

/** Keeps a list of process groups; when its input ends, because the parent is gone in whatever way, kills them. */
const SCRIPT = `
groups=' '
while read -r action group; do
  case $action in
    add) groups="$groups$group " ;;
    remove) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
`;

/**
 * Ends what we started even after a SIGKILL, when none of our own code runs any more: a shell in a session of its own
 * holds the reading end of a pipe whose only writing end is ours. Unlike a parent-death signal this reaches whole
 * process trees. It is started before the first group, for starting it takes longer than that group needs to do something.
 */
export class Watchdog {
  #shell: ChildProcess | undefined;

  /** Must be called before a group is started. */
  start(): void {
    if (this.#shell !== undefined) return;
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#shell.on('error', () => undefined); // without a shell only this safety net is missing
    this.#shell.stdin?.on('error', () => undefined);
    this.#shell.unref();
    (this.#shell.stdin as { unref?(): void } | null)?.unref?.();
  }

  add(group: number): void {
    this.#shell?.stdin?.write(`add ${group}\n`);
  }

  remove(group: number): void {
    this.#shell?.stdin?.write(`remove ${group}\n`);
  }

  end(): void {
    this.#shell?.stdin?.end();
    this.#shell = undefined;
  }
}
