import { connect, type Socket } from 'node:net';
import { AttemptFailure, connectFailure } from './attempt-failure.js';
import { printable } from './printable.js';

/** RFC 4253 §4.2 lets a server say other things before; nobody says more than this. In bytes. */
const LONGEST_GREETING = 16 * 1024;

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Connects, or fails with the reason. In milliseconds. */
export function openSocket({ host, port }: Endpoint, timeout: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      socket.removeAllListeners();
      finish();
    };
    const fail = (error: unknown) =>
      settle(() => {
        socket.on('error', () => undefined).destroy();
        reject(error as Error);
      });
    const aborted = () => fail(signal.reason);
    const timer = setTimeout(() => fail(new AttemptFailure('timed-out', 'timed out')), timeout);
    signal.addEventListener('abort', aborted, { once: true });
    socket.once('error', (error) => fail(connectFailure(error)));
    socket.once('connect', () => settle(() => resolve(socket)));
  });
}

/**
 * Waits until an SSH server has introduced itself, and gives back its line (`SSH-2.0-…`). The bytes stay in the socket for
 * whoever reads next. The socket stays the caller's.
 */
export function readBanner(socket: Socket, timeout: number, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      socket.off('readable', readable).off('end', ended).off('error', broke).off('close', ended);
      finish();
    };
    const fail = (how: string) =>
      settle(() =>
        reject(
          seen.length === 0
            ? new AttemptFailure('no-banner', `accepted but no SSH banner: ${how}`)
            : new AttemptFailure('not-ssh', `accepted, but no SSH server: it said ${printable(seen)} and ${how}`),
        ),
      );
    const aborted = () => settle(() => reject(signal.reason as Error));
    const ended = () => fail('closed the connection');
    const broke = (error: Error) =>
      fail(
        (error as NodeJS.ErrnoException).code === 'ECONNRESET'
          ? 'the connection was reset'
          : `the connection broke (${error.message})`,
      );
    const readable = () => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      seen = Buffer.concat([seen, bytes]);
      const banner = /(?:^|\n)(SSH-[^\r\n]*)\r?\n/.exec(seen.toString('latin1'))?.[1];
      if (banner !== undefined) {
        settle(() => {
          socket.unshift(seen);
          resolve(banner);
        });
      } else if (seen.length > LONGEST_GREETING) fail('more of the like');
    };
    const timer = setTimeout(() => fail(`it was silent for ${Math.round(timeout / 1000)} s`), timeout);
    signal.addEventListener('abort', aborted, { once: true });
    socket.on('readable', readable).on('end', ended).on('error', broke).on('close', ended);
    readable();
  });
}
