import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Of a log that may have grown to many megabytes, in bytes. */
const READ = 256 * 1024;

/** The log that VirtualBox writes about a running machine, which alone says some of what goes wrong. */
export class MachineLog {
  readonly path: string;

  /** `folder` is the machine's own. */
  constructor(folder: string) {
    this.path = join(folder, 'Logs/VBox.log');
  }

  /** Grows with everything that happens; 0 while there is none. */
  async size(): Promise<number> {
    return stat(this.path).then(
      ({ size }) => size,
      () => 0,
    );
  }

  /** Ports of this computer that were taken already, so that nothing is forwarded from them. */
  async busyPorts(): Promise<readonly number[]> {
    // "NAT#0: failed to set up redirection of 2522 to 22" in the first seconds; told nowhere else.
    return [...(await this.#start()).matchAll(/failed to set ?up redirection of (?:\S*:)?(\d+)/g)].map(([, port]) =>
      Number(port),
    );
  }

  /** Why the machine cannot go on, such as a full disk; empty when the log knows no reason. */
  async runtimeError(): Promise<string> {
    const errors = [
      ...(await this.#end()).matchAll(/VM: ?(?:Setting )?runtime error[^\n]*|Console: VM runtime error:[^\n]*/gi),
    ];
    const last = errors.at(-1)?.[0] ?? '';
    return /message="([^"]*)/.exec(last)?.[1] ?? last;
  }

  /** Its last errors, for messages; empty when it has none. */
  async errors(): Promise<string> {
    const lines = (await this.#end())
      .split('\n')
      .filter((line) => /VMSetError|aText=\{|runtime error|Guru Meditation/i.test(line));
    return lines
      .slice(-3)
      .map((line) => /aText=\{([^}]*)\}/.exec(line)?.[1] ?? line.replace(/^[\d:.]+ /, ''))
      .filter((line) => line !== '')
      .join('\n');
  }

  async #start(): Promise<string> {
    return this.#read(() => 0);
  }

  async #end(): Promise<string> {
    return this.#read((size) => Math.max(0, size - READ));
  }

  async #read(from: (size: number) => number): Promise<string> {
    try {
      await using file = await open(this.path, 'r');
      const bytes = Buffer.alloc(READ);
      const { bytesRead } = await file.read(bytes, 0, READ, from((await file.stat()).size));
      return bytes.toString('utf8', 0, bytesRead);
    } catch {
      return '';
    }
  }
}
