import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Event } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { obtainFile, type ObtainOptions } from './obtain-file.js';

const content = Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * 7919) & 0xff));
const hex = (bytes: Uint8Array, algorithm = 'sha256') => createHash(algorithm).update(bytes).digest('hex');
const checksum = `sha256:${hex(content)}`;

let directory: string;
let events: Event[];
let servers: Server[];
let asked: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'obtain-'));
  await mkdir(join(directory, 'work'));
  events = [];
  servers = [];
  asked = [];
});
afterEach(async () => {
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
  await rm(directory, { recursive: true });
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.range ?? '-'}`);
    listener(request, response);
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.iso`;
}

/** Sends the file, from where it is asked to, and breaks the connection after `cut` bytes of it. */
function sends(bytes: Buffer, more: { cut?: number; ranges?: boolean; etag?: () => string } = {}): RequestListener {
  return (request, response) => {
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const tag = more.etag?.();
    const same = request.headers['if-range'] === undefined || request.headers['if-range'] === tag;
    const start = from !== undefined && more.ranges !== false && same ? Number(from) : 0;
    const tags: Record<string, string> = tag === undefined ? {} : { etag: tag };
    if (start >= bytes.length && start > 0) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { ...tags, ...range, 'content-length': bytes.length - start });
    if (more.cut === undefined) response.end(bytes.subarray(start));
    else response.write(bytes.subarray(start, start + more.cut), () => setTimeout(() => response.destroy(), 30));
  };
}

const obtain = (locations: readonly string[], more: Partial<ObtainOptions> = {}, sum = checksum) =>
  obtainFile(
    { locations, checksum: sum },
    {
      cacheDir: join(directory, 'cache'),
      workDir: join(directory, 'work'),
      offline: false,
      emit: (event) => events.push(event),
      signal: new AbortController().signal,
      environment: {},
      patience: 2000,
      pause: 5,
      ...more,
    },
  );
const kept = async () =>
  (await readdir(join(directory, 'cache/files')).catch(() => [])).filter((name) => name !== 'checked');
const warnings = () => events.flatMap((each) => (each.type === 'log' && each.level === 'warn' ? [each.message] : []));

describe('local files', () => {
  it('are used where they are, by path and by address, and never copied', async () => {
    const path = join(directory, 'a b.iso');
    await writeFile(path, content);
    expect(await obtain([path])).toEqual({ path, checksum, location: path });
    expect((await obtain([pathToFileURL(path).href])).path).toBe(path);
    const long = `sha512:${hex(content, 'sha512').toUpperCase()}`;
    expect((await obtain([path], {}, long)).path).toBe(path);
    expect(await obtain([path], {}, 'none')).toMatchObject({ path, checksum });
    expect(await kept()).toEqual([]);
  });

  it('with another content are refused and left alone', async () => {
    const path = join(directory, 'x');
    await writeFile(path, 'other');
    await expect(obtain([path])).rejects.toMatchObject({
      code: 'checksum-wrong',
      file: path,
      expected: checksum,
      found: `sha256:${hex(Buffer.from('other'))}`,
    });
    expect(await readFile(path, 'utf8')).toBe('other');
  });

  it('are hashed again when they changed, whatever their times say', async () => {
    const path = join(directory, 'x');
    await writeFile(path, content);
    await new Promise((done) => setTimeout(done, 2100));
    await obtain([path]);
    const { atime, mtime } = await stat(path);
    await writeFile(path, Buffer.from(content).fill(0, 5, 6));
    await utimes(path, atime, mtime);
    await expect(obtain([path])).rejects.toMatchObject({ code: 'checksum-wrong' });
  });
});

describe('downloads', () => {
  it('are kept by what they hold, told with progress, and used again without the network', async () => {
    const url = await serve(sends(content));
    const first = await obtain([url]);
    expect(content.equals(await readFile(first.path))).toBe(true);
    expect(await kept()).toEqual([`sha256-${hex(content)}`]);
    expect(events).toContainEqual({
      type: 'progress',
      stage: 'download',
      done: 300_000,
      total: 300_000,
      unit: 'bytes',
    });
    expect((await obtain(['http://127.0.0.1:1/x'], { offline: true })).path).toBe(first.path);
    expect(asked).toHaveLength(1);
  });

  it('that were changed in the cache are removed and fetched again', async () => {
    const url = await serve(sends(content));
    const { path } = await obtain([url]);
    await chmod(path, 0o644);
    await writeFile(path, 'broken');
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    expect(warnings().join()).toContain('was changed since it was downloaded');
  });

  it('go on where the connection was cut', async () => {
    const url = await serve(sends(content, { cut: 70_000, etag: () => '"1"' }));
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    expect(asked.length).toBeGreaterThan(3);
    expect(asked[1]).toBe('/disk.iso bytes=70000-');
  });

  it('begin again where the server cannot go on, or the file changed', async () => {
    let requests = 0;
    const url = await serve((request, response) =>
      sends(content, { ranges: false, ...(++requests === 1 ? { cut: 70_000 } : {}) })(request, response),
    );
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    await rm(join(directory, 'cache'), { recursive: true });
    let version = 0;
    const older = Buffer.from(content).reverse();
    const other = await serve((request, response) => {
      version++;
      const etag = () => `"${version}"`;
      sends(version === 1 ? older : content, version === 1 ? { cut: 70_000, etag } : { etag })(request, response);
    });
    expect(content.equals(await readFile((await obtain([other])).path))).toBe(true);
    expect(version).toBe(2);
  });

  it('take up what a cancelled or failed one left, from another location too', async () => {
    const stop = new AbortController();
    const slow = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 100_000), () => setTimeout(() => stop.abort(new Error('enough')), 50));
    });
    await expect(obtain([slow], { signal: stop.signal })).rejects.toThrow('enough');
    expect(await kept()).toHaveLength(1);
    const url = await serve(sends(content));
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    expect(asked.at(-1)).toBe('/disk.iso bytes=100000-');
    expect(await kept()).toEqual([`sha256-${hex(content)}`]);
  });

  it('take up what a dead process left, and are fetched anew if that was wrong', async () => {
    const files = join(directory, 'cache/files');
    await mkdir(files, { recursive: true });
    // A number that no process has: the kernel gives none above 2^22.
    const { ownerTag } = await import('@polyvisor/core');
    const tag = ownerTag().replace(/^\d+-\d+/, '4194399-1');
    await writeFile(join(files, `sha256-${hex(content)}.${tag}-1.part`), Buffer.alloc(1000, 'bad'));
    const url = await serve(sends(content));
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    expect(asked).toEqual(['/disk.iso bytes=1000-', '/disk.iso -']);
    expect(await kept()).toEqual([`sha256-${hex(content)}`]);
  });

  it('that are complete but for the name need no byte more', async () => {
    const files = join(directory, 'cache/files');
    await mkdir(files, { recursive: true });
    const { ownerTag } = await import('@polyvisor/core');
    await writeFile(join(files, `sha256-${hex(content)}.${ownerTag()}-77777.part`), content);
    const url = await serve(sends(content));
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    expect(asked).toEqual([`/disk.iso bytes=${content.length}-`]);
  });

  it('of one file at the same time do not disturb each other', async () => {
    const url = await serve(sends(content, { cut: 120_000 }));
    const all = await Promise.all([obtain([url]), obtain([url]), obtain([url])]);
    for (const { path } of all) expect(content.equals(await readFile(path))).toBe(true);
    expect(await kept()).toEqual([`sha256-${hex(content)}`]);
  });

  it('without checksum are not kept, but go to the work directory', async () => {
    const url = await serve(sends(content));
    const { path, checksum: found } = await obtain([url], {}, 'none');
    expect(path.startsWith(join(directory, 'work/'))).toBe(true);
    expect(found).toBe(checksum);
    expect(await kept()).toEqual([]);
  });

  it('without checksum never mix two versions of a file', async () => {
    let requests = 0;
    const older = Buffer.from(content).reverse();
    const url = await serve((request, response) => {
      requests++;
      sends(requests === 1 ? older : content, requests === 1 ? { cut: 70_000 } : {})(request, response);
    });
    const { path } = await obtain([url], {}, 'none');
    expect(content.equals(await readFile(path))).toBe(true);
  });

  it('follow redirects, and give up when these go round', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/there') sends(content)(request, response);
      else response.writeHead(302, { location: request.url === '/loop' ? '/loop' : '/there' }).end();
    });
    expect(content.equals(await readFile((await obtain([url])).path))).toBe(true);
    await rm(join(directory, 'cache'), { recursive: true });
    await expect(obtain([url.replace('disk.iso', 'loop')])).rejects.toThrow('redirects more than 10 times');
  });

  it('never follow a redirect to a file of this machine', async () => {
    const url = await serve((_request, response) =>
      response.writeHead(302, { location: 'file:///etc/hostname' }).end(),
    );
    await expect(obtain([url])).rejects.toThrow('only http: and https: addresses are downloaded, not file:');
  });

  it('go through the proxy that the environment names', async () => {
    const proxy = await serve((request, response) => sends(content)(request, response));
    const { host } = new URL(proxy);
    const address = 'http://nowhere.invalid/disk.iso';
    expect(content.equals(await readFile((await obtain([address], { environment: { http_proxy: host } })).path))).toBe(
      true,
    );
    expect(asked).toEqual([`${address} -`]);
    await rm(join(directory, 'cache'), { recursive: true });
    const environment = { http_proxy: host, no_proxy: 'nowhere.invalid' };
    await expect(obtain([address], { environment })).rejects.toMatchObject({ code: 'file-unobtainable' });
    await expect(obtain([address], { environment: { http_proxy: 'http://:::' } })).rejects.toMatchObject({
      code: 'proxy-invalid',
    });
  });

  it('end with the run at once', async () => {
    const url = await serve(() => undefined);
    const stop = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => stop.abort(reason), 50);
    const started = performance.now();
    await expect(obtain([url], { signal: stop.signal })).rejects.toBe(reason);
    expect(performance.now() - started).toBeLessThan(1500);
  });
});

describe('locations that do not have the file', () => {
  it('are each told with their own reason, and the next one is tried', async () => {
    const dead = await serve((_request, response) => response.writeHead(404).end('no'));
    const wrong = await serve(sends(Buffer.from('a page of a portal')));
    const good = await serve(sends(content));
    const missing = join(directory, 'missing.iso');
    const nowhere = 'http://127.0.0.1:1/x';
    const { location } = await obtain([missing, dead, wrong, nowhere, 'ftp://x/y', good]);
    expect(location).toBe(good);
    expect(warnings()).toEqual([
      expect.stringContaining(`${missing}: it cannot be read: there is no such file`),
      expect.stringContaining('there is no such file any more (HTTP status 404)'),
      expect.stringContaining(`expected ${checksum}, found sha256:`),
      expect.stringContaining('the connection is refused'),
      expect.stringContaining('no address that begins with http:'),
    ]);
  });

  it('are all in the error; a dead link is no wrong checksum', async () => {
    const dead = await serve((_request, response) => response.writeHead(404).end('no'));
    const wrong = await serve(sends(Buffer.from('a page of a portal')));
    await expect(obtain([dead])).rejects.toMatchObject({ code: 'file-unobtainable' });
    await expect(obtain([wrong])).rejects.toMatchObject({ code: 'checksum-wrong', file: wrong, expected: checksum });
    const both = obtain([dead, wrong]);
    await expect(both).rejects.toMatchObject({ code: 'file-unobtainable' });
    await expect(both).rejects.toThrow(/404[^]*expected sha256/);
    expect(await kept()).toEqual([]);
  });

  it('are asked again after trouble of their own, a bounded number of times', async () => {
    const url = await serve((_request, response) => response.writeHead(503).end());
    await expect(obtain([url])).rejects.toThrow('HTTP status 503, 5 times');
    expect(asked).toHaveLength(5);
  });

  it('are left when they hardly send anything', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': content.length });
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    });
    await expect(obtain([url], { patience: 150 })).rejects.toThrow('the server is too slow');
  });

  it('are left when they send more or less than they said, or compress', async () => {
    const short = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': content.length }).write('x');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(obtain([short])).rejects.toMatchObject({ code: 'file-unobtainable' });
    const packed = await serve((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
    );
    await expect(obtain([packed])).rejects.toThrow('compressed although');
  });

  it('are not asked for what this machine has no room for', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 100 * 1024 ** 4 });
      response.write('x');
    });
    await expect(obtain([url])).rejects.toMatchObject({ code: 'space-missing' });
  });

  it('are not asked at all while offline', async () => {
    const url = await serve(sends(content));
    await expect(obtain([url, join(directory, 'x')], { offline: true })).rejects.toMatchObject({
      code: 'offline-missing',
      message: expect.stringContaining(checksum),
      hint: expect.stringContaining(url),
    });
    expect(asked).toEqual([]);
  });

  it('do not get their passwords told', async () => {
    const dead = (await serve((_request, response) => response.writeHead(403).end())).replace('//', '//me:secret@');
    const error = await obtain([`${dead}?token=hidden`]).catch((each: unknown) => each);
    expect(String((error as Error).message)).toContain('127.0.0.1');
    expect(JSON.stringify([events, String(error), (error as { hint?: string }).hint])).not.toMatch(/secret|hidden/);
    const offline = await obtain([`${dead}?token=hidden`], { offline: true }).catch((each: unknown) => each);
    expect((offline as { hint: string }).hint).not.toMatch(/secret|hidden/);
  });
});

it.each(['', 'NONE', 'md5:00', 'sha256:12', `sha256:${'g'.repeat(64)}`, hex(content)])(
  '%j is no checksum',
  async (sum) => {
    await expect(obtain([], {}, sum)).rejects.toMatchObject({ code: 'checksum-invalid' });
  },
);
