import type { GuestAccess } from '@polyvisor/core';
import { shellQuote } from './quote.js';

/** How a command becomes root. */
export type Become = GuestAccess['become'];

/**
 * What the login shell of the guest gets to see, always but for `mark` the same. The script follows on the standard input,
 * line by line up to the end mark, so that it shows in no list of processes, has no limit of length, and nobody's login shell
 * interprets it; `read` of every shell takes no byte too many from a pipe, so what comes after is the script's own input.
 * The variable marks the script and all that it starts, see `killAll`.
 */
export function startCommand(become: Become, mark: string): string {
  const receive = [
    'n=$(printf "\\012x")',
    'n=${n%x}',
    'p=',
    `printf "%s\\012" ${readyMark(mark)} >&2`,
    `while :; do IFS= read -r l || exit 125; if [ "$l" = ${endMark(mark)} ]; then break; fi; p=$p$l$n; done`,
    'unset l n',
    'eval "$p"',
  ].join('; ');
  const words = ['env', `POLYVISOR_COMMAND=${mark}`, 'sh', '-c', shellQuote(receive)].join(' ');
  if (become === 'sudo') return `sudo -S -H -p ${promptMark(mark)} ${words}`;
  // Only su's own prompts tell that it waits for the password; in English, they end in a colon in any case.
  if (become === 'su') return `env LC_ALL=C su root -c ${shellQuote(words)}`;
  return words;
}

/** Written to the standard error when the script may be sent. */
export function readyMark(mark: string): string {
  return `ready-${mark}`;
}

export function endMark(mark: string): string {
  return `end-${mark}`;
}

export function promptMark(mark: string): string {
  return `password-${mark}:`;
}

/** What a command does before it runs the script; see `Greeting`. */
export type Dialogue = 'nothing' | 'password' | 'ready';

/** Follows what comes before the script: noise of the login, sudo's lecture, prompts. Bounded. */
export class Greeting {
  static readonly #MOST = 64 * 1024;
  readonly #become: Become;
  readonly #mark: string;
  #stderr = '';
  #stdout = '';

  constructor(become: Become, mark: string) {
    this.#become = become;
    this.#mark = mark;
  }

  /** What the command waits for now, and in `rest` what it said after it was ready. */
  push(bytes: Buffer, stream: 'stdout' | 'stderr'): { readonly wants: Dialogue; readonly rest: Buffer } {
    const none = Buffer.alloc(0);
    const text = bytes.toString('latin1');
    if (stream === 'stdout') this.#stdout = (this.#stdout + text).slice(-Greeting.#MOST);
    else this.#stderr = (this.#stderr + text).slice(-Greeting.#MOST);
    const ready = `${readyMark(this.#mark)}\n`;
    const at = this.#stderr.indexOf(ready);
    if (at >= 0) {
      const rest = Buffer.from(this.#stderr.slice(at + ready.length), 'latin1');
      this.#stderr = this.#stderr.slice(0, at);
      return { wants: 'ready', rest };
    }
    return { wants: this.#isPrompt(stream) ? 'password' : 'nothing', rest: none };
  }

  #isPrompt(stream: 'stdout' | 'stderr'): boolean {
    if (this.#become === 'none') return false;
    const said = stream === 'stdout' ? this.#stdout : this.#stderr;
    if (this.#become === 'sudo' ? !said.includes(promptMark(this.#mark)) : !/:\s*$/.test(said)) return false;
    // A prompt is answered once; the next one is another prompt.
    this.#stderr = this.#stderr.replaceAll(promptMark(this.#mark), '');
    this.#stdout = '';
    if (this.#become === 'su') this.#stderr = '';
    return true;
  }

  /** Last words, for the message when it never became ready. */
  words(): string {
    const text = Buffer.from(`${this.#stderr}\n${this.#stdout}`, 'latin1')
      .toString('utf8')
      .replaceAll(promptMark(this.#mark), '');
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .slice(-5)
      .join('\n');
  }
}
