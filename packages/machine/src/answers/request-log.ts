import type { Socket } from 'node:net';
import type { Logger } from '@polyvisor/core';
import { type AnswerRequest, describeRequest, isFetch } from './answer-request.js';

/** Requests that are remembered, and lines that one guest can write into the log. */
const REMEMBERED = 100;
const LINES = 500;

// cloud-init asks for these whether or not they were promised; that they are missing is no mistake.
const OPTIONAL = new Set(['vendor-data', 'network-config', 'meta-data']);

/** Remembers and tells what was asked of the answer server, within bounds, whatever the clients do. */
export class RequestLog {
  readonly #log: Logger;
  #latest: AnswerRequest[] = [];
  #lines = 0;
  #first: AnswerRequest | undefined;
  readonly #waiting = new Set<(request: AnswerRequest) => void>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get latest(): readonly AnswerRequest[] {
    return [...this.#latest];
  }

  add(request: AnswerRequest, offered: readonly string[]): void {
    this.#latest = [...this.#latest.slice(1 - REMEMBERED), request];
    const line = describeRequest(request);
    if (request.status < 400) this.#say('info', `the guest asked: ${line}`);
    else if (request.trusted && OPTIONAL.has(request.path)) this.#say('info', `the guest asked: ${line} (not offered)`);
    else if (request.trusted) this.#say('warn', `the guest asked: ${line} (offered: ${listed(offered)})`);
    else this.#say('warn', `somebody asked for an address that is not offered: ${line}`);
    if (this.#first !== undefined || !isFetch(request)) return;
    this.#first = request;
    for (const tell of this.#waiting) tell(request);
    this.#waiting.clear();
  }

  /** Something that is no HTTP was sent, or nothing in time. */
  nonsense(socket: Socket): void {
    if (socket.bytesRead > 0)
      this.#say('warn', `${socket.remoteAddress ?? 'somebody'} sent what is no HTTP request, or only a part of one`);
  }

  firstFetch(signal: AbortSignal): Promise<AnswerRequest> {
    if (this.#first !== undefined) return Promise.resolve(this.#first);
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(tell);
        reject(signal.reason as Error);
      };
      const tell = (request: AnswerRequest) => {
        signal.removeEventListener('abort', abort);
        resolve(request);
      };
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.add(tell);
    });
  }

  #say(level: 'info' | 'warn', message: string): void {
    this.#lines++;
    if (this.#lines <= LINES) this.#log[level](message);
    if (this.#lines === LINES) this.#log.warn(`further requests for answer files are not shown`);
  }
}

function listed(names: readonly string[]): string {
  return names.length <= 10 ? names.join(', ') : `${names.slice(0, 10).join(', ')}, …`;
}
