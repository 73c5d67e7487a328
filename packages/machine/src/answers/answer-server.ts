import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createLogger, type Emit, EnvironmentError } from '@polyvisor/core';
import type { AnswerRequest } from './answer-request.js';
import { createHandler } from './handle-request.js';
import { RequestLog } from './request-log.js';

/** Limits for clients that send slowly or nothing, in milliseconds; and how many may be connected at once. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 30_000;
const IDLE_TIMEOUT = 60_000;
const KEEP_ALIVE = 5_000;
const CONNECTIONS = 64;
const HEADER_BYTES = 16 * 1024;

/** Where an answer server listens. */
export interface AnswerAddress {
  readonly port: number;
  /** `/` and 32 random hexadecimal digits; files are below it. */
  readonly path: string;
}

export interface AnswerServerOptions {
  /** The files by their names, or what makes them once the address is known, since templates name it. */
  readonly files:
    | ReadonlyMap<string, Uint8Array>
    | ((address: AnswerAddress) => Promise<ReadonlyMap<string, Uint8Array>> | ReadonlyMap<string, Uint8Array>);
  /** Address of this computer to listen at; 127.0.0.1 unless a hypervisor cannot bring its guests there. */
  readonly host?: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/**
 * Offers answer files to one guest over HTTP, any number of times. Nobody who does not know the path learns anything. Ends
 * when it is disposed or the signal fires; both close every connection.
 */
export interface AnswerServer extends AnswerAddress, AsyncDisposable {
  /** Names of what is offered. */
  readonly offered: readonly string[];
  /** The latest requests, oldest first, at most 100. */
  readonly requests: readonly AnswerRequest[];
  /** The first request that got a file, as soon as there is one. Rejects only with the signal's reason. */
  fetched(signal?: AbortSignal): Promise<AnswerRequest>;
}

/** Starts a server on a port that the system chooses. */
export async function startAnswerServer(options: AnswerServerOptions): Promise<AnswerServer> {
  const { host = '127.0.0.1', signal } = options;
  signal.throwIfAborted();
  const secret = randomBytes(16).toString('hex');
  const log = new RequestLog(createLogger(options.emit, 'answers'));
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT,
    requestTimeout: REQUEST_TIMEOUT,
    keepAliveTimeout: KEEP_ALIVE,
    connectionsCheckingInterval: 1000,
    maxHeaderSize: HEADER_BYTES,
  });
  server.maxConnections = CONNECTIONS;
  const sockets = bound(server, log);
  const port = await listen(server, host);
  const close = closer(server, sockets);
  signal.addEventListener('abort', () => void close(), { once: true });
  try {
    const path = `/${secret}`;
    const files = typeof options.files === 'function' ? await options.files({ port, path }) : options.files;
    signal.throwIfAborted();
    server.on('request', createHandler(secret, files, log));
    return {
      port,
      path,
      offered: [...files.keys()],
      get requests() {
        return log.latest;
      },
      fetched: (only) => log.firstFetch(only === undefined ? signal : AbortSignal.any([signal, only])),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Ends connections that do nothing or talk nonsense; returns those that are open. */
function bound(server: Server, log: RequestLog): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setTimeout(IDLE_TIMEOUT, () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('clientError', (_error, socket) => {
    log.nonsense(socket as Socket);
    socket.destroy();
  });
  return sockets;
}

async function listen(server: Server, host: string): Promise<number> {
  server.listen({ host, port: 0 });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new EnvironmentError(
      'answers-listen',
      `cannot offer the answer files at ${host}: ${(error as Error).message}`,
      {
        hint: 'see whether this computer has that address and lets programs listen at it',
        cause: error,
      },
    );
  }
  return (server.address() as AddressInfo).port;
}

function closer(server: Server, sockets: ReadonlySet<Socket>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () =>
    (closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    }));
}
