import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { cleaned } from './answer-request.js';
import { parseRange } from './parse-range.js';
import type { RequestLog } from './request-log.js';

const PATH_SHOWN = 200;
const AGENT_SHOWN = 80;

/** Answers GET and HEAD of exactly the names that are offered below the secret; everything else is not found. */
export function createHandler(
  secret: string,
  files: ReadonlyMap<string, Uint8Array>,
  log: RequestLog,
): RequestListener {
  return (request, response) => {
    const { name, trusted, path } = readPath(request.url ?? '', secret);
    const readable = request.method === 'GET' || request.method === 'HEAD';
    const bytes = trusted && readable && name !== undefined ? files.get(name) : undefined;
    const { status, length } = bytes === undefined ? refuse(response) : serve(request, response, bytes);
    log.add(
      {
        time: Date.now(),
        client: `${request.socket.remoteAddress ?? '?'}:${request.socket.remotePort ?? '?'}`,
        method: cleaned(request.method ?? '?', 10),
        path: cleaned(path.replaceAll(secret, '…'), PATH_SHOWN),
        trusted,
        status,
        bytes: request.method === 'HEAD' ? 0 : length,
        userAgent: cleaned((request.headers['user-agent'] ?? '').replaceAll(secret, '…'), AGENT_SHOWN),
      },
      [...files.keys()],
    );
  };
}

/** Splits `/secret/name`. `path` is what a log may say after the secret is taken out. */
function readPath(url: string, secret: string): { name: string | undefined; trusted: boolean; path: string } {
  const [raw = ''] = url.split('?', 1);
  const given = Buffer.from(raw.slice(1, 1 + secret.length));
  const trusted =
    raw[1 + secret.length] === '/' && given.length === secret.length && timingSafeEqual(given, Buffer.from(secret));
  if (!trusted) return { name: undefined, trusted, path: raw };
  const rest = raw.slice(secret.length + 2);
  try {
    const name = decodeURIComponent(rest);
    return { name, trusted, path: name };
  } catch {
    return { name: undefined, trusted, path: rest };
  }
}

function refuse(response: ServerResponse): { status: number; length: number } {
  response.writeHead(404, { 'Content-Length': 0 }).end();
  return { status: 404, length: 0 };
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
): { status: number; length: number } {
  const range = parseRange(request.headers.range, bytes.length);
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'no-store',
  };
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}`, 'Content-Length': 0 }).end();
    return { status: 416, length: 0 };
  }
  const { start, end } = range ?? { start: 0, end: bytes.length };
  const status = range === undefined ? 200 : 206;
  const partial = range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}` };
  response.writeHead(status, { ...headers, ...partial, 'Content-Length': end - start });
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(start, end));
  return { status, length: end - start };
}
