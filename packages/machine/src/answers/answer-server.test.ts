import { connect } from 'node:net';
import { once } from 'node:events';
import type { Event } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AnswerServer, startAnswerServer } from './answer-server.js';

let events: Event[];
let stop: AbortController;
let server: AnswerServer;
const files = new Map([
  ['preseed.cfg', Buffer.from('0123456789')],
  ['a b/ü', Buffer.from('deep')],
]);

beforeEach(async () => {
  events = [];
  stop = new AbortController();
  server = await startAnswerServer({ files, emit: (event) => events.push(event), signal: stop.signal });
});
afterEach(() => server[Symbol.asyncDispose]());

const base = () => `http://127.0.0.1:${server.port}`;
const get = (path: string, init?: RequestInit) => fetch(base() + path, init);
const lines = (level: string) =>
  events.flatMap((each) => (each.type === 'log' && each.level === level ? [each.message] : []));

/** Sends bytes as they are; resolves with what came until the end. */
async function raw(text: string): Promise<string> {
  const socket = connect(server.port, '127.0.0.1');
  const parts: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => parts.push(bytes)).on('error', () => undefined);
  socket.write(text);
  await new Promise((done) => socket.once('close', done));
  return Buffer.concat(parts).toString('latin1');
}

describe('an answer server', () => {
  it('serves its files any number of times, below a path of 32 random digits', async () => {
    expect(server.path).toMatch(/^\/[0-9a-f]{32}$/);
    for (let n = 0; n < 3; n++) {
      const response = await get(`${server.path}/preseed.cfg?x=1`, { headers: { 'user-agent': 'wget\u00a0x' } });
      expect(response.headers.get('content-length')).toBe('10');
      expect(response.headers.get('content-type')).toContain('text/plain');
      expect(await response.text()).toBe('0123456789');
    }
    expect(await (await get(`${server.path}/a%20b/%C3%BC`)).text()).toBe('deep');
    expect(server.requests).toHaveLength(4);
    expect(server.requests[0]).toMatchObject({ path: 'preseed.cfg', status: 200, bytes: 10, trusted: true });
    expect(JSON.stringify([events, server.requests])).not.toContain(server.path.slice(1));
    expect(lines('info')[0]).toMatch(/GET preseed\.cfg: 200, 10 bytes, to 127\.0\.0\.1:\d+, wget/);
  });

  it('finds nothing else, and says nothing about it', async () => {
    const { path } = server;
    const wrong = ['/', '/preseed.cfg', `${path}`, `${path}/`, `${path}/nope`, `${path}//preseed.cfg`, `${path}/%zz`];
    wrong.push(`${path.slice(0, -1)}g/preseed.cfg`, `/x${path}/preseed.cfg`, `${path}/x/../../etc/passwd`);
    for (const each of wrong) {
      const response = await get(each);
      expect([each, response.status, await response.text()]).toEqual([each, 404, '']);
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      expect((await get(`${path}/preseed.cfg`, { method })).status).toBe(404);
    expect(await raw(`GET ${path}/../preseed.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 404/,
    );
    expect(JSON.stringify([events, server.requests])).not.toContain(path.slice(1));
    expect(lines('warn').join('\n')).toContain('nope: 404, 0 bytes');
    expect(lines('warn').join('\n')).toContain('(offered: preseed.cfg, a b/ü)');
    expect(lines('warn').join('\n')).toContain('GET /preseed.cfg: 404');
  });

  it('does not warn of what cloud-init asks for anyway', async () => {
    await get(`${server.path}/vendor-data`);
    expect(lines('warn')).toEqual([]);
    expect(lines('info')[0]).toContain('not offered');
  });

  it('answers HEAD, and ranges', async () => {
    const { path } = server;
    const head = await get(`${path}/preseed.cfg`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', '']);
    const range = async (value: string) => {
      const response = await get(`${path}/preseed.cfg`, { headers: { range: value } });
      return [response.status, response.headers.get('content-range'), await response.text()];
    };
    expect(await range('bytes=2-4')).toEqual([206, 'bytes 2-4/10', '234']);
    expect(await range('bytes=8-')).toEqual([206, 'bytes 8-9/10', '89']);
    expect(await range('bytes=-3')).toEqual([206, 'bytes 7-9/10', '789']);
    expect(await range('bytes=5-99')).toEqual([206, 'bytes 5-9/10', '56789']);
    expect(await range('bytes=10-')).toEqual([416, 'bytes */10', '']);
    expect(await range('bytes=4-2')).toEqual([200, null, '0123456789']);
    expect(await range('bytes=0-1,4-5')).toEqual([200, null, '0123456789']);
  });

  it('keeps what clients call themselves short and harmless', async () => {
    await raw(
      `GET /\x1b[31m%0a HTTP/1.1\r\nHost: x\r\nUser-Agent: \x9b2J${'y'.repeat(300)}\r\nConnection: close\r\n\r\n`,
    );
    await raw(`GET /x HTTP/1.1\r\nHost: x\r\nUser-Agent: \x9b2J${'y'.repeat(300)}\r\nConnection: close\r\n\r\n`);
    const text = JSON.stringify([events, server.requests]);
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/\\u001b|\\n|[\x00-\x1f\x7f-\x9f]/);
    expect(server.requests.at(-1)?.userAgent.length).toBeLessThanOrEqual(80);
  });

  it('cuts off what is no HTTP, and headers without end', async () => {
    expect(await raw('\x16\x03\x01 hello\r\n\r\n')).toBe('');
    expect(await raw(`GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}`)).toBe('');
    expect(lines('warn').join('\n')).toContain('no HTTP request');
    expect((await get(`${server.path}/preseed.cfg`)).status).toBe(200);
  });

  it('tells of the first fetch, and not of a HEAD or a miss', async () => {
    const fetched = server.fetched();
    let done = false;
    void fetched.then(() => (done = true));
    await get(`${server.path}/preseed.cfg`, { method: 'HEAD' });
    await get('/preseed.cfg');
    expect(done).toBe(false);
    await get(`${server.path}/preseed.cfg`);
    expect(await fetched).toMatchObject({ path: 'preseed.cfg' });
    expect(await server.fetched()).toBe(await fetched);
  });

  it('ends with every connection when it is disposed, twice', async () => {
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    await get(`${server.path}/preseed.cfg`);
    const closed = once(socket, 'close');
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await closed;
    await expect(get('/')).rejects.toThrow();
  });

  it('ends with the run', async () => {
    const fetched = server.fetched();
    const reason = new Error('enough');
    stop.abort(reason);
    await expect(fetched).rejects.toBe(reason);
    await expect(get('/')).rejects.toThrow();
    await expect(startAnswerServer({ files, emit: () => undefined, signal: stop.signal })).rejects.toBe(reason);
  });

  it('makes its files once it knows its address', async () => {
    await using other = await startAnswerServer({
      files: ({ port, path }) => new Map([['x', Buffer.from(`${port}${path}`)]]),
      emit: () => undefined,
      signal: new AbortController().signal,
    });
    const response = await fetch(`http://127.0.0.1:${other.port}${other.path}/x`);
    expect(await response.text()).toBe(`${other.port}${other.path}`);
    const broken = new Error('no such value');
    const failing = {
      files: () => Promise.reject(broken),
      emit: () => undefined,
      signal: new AbortController().signal,
    };
    await expect(startAnswerServer(failing)).rejects.toBe(broken);
  });

  it('says when it cannot listen', async () => {
    const options = { files, host: '192.0.2.1', emit: () => undefined, signal: new AbortController().signal };
    await expect(startAnswerServer(options)).rejects.toMatchObject({ code: 'answers-listen' });
  });
});
