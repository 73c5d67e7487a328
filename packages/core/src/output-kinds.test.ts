import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DeviceFacts, type DeviceLayer, deviceNumber, digest, openDevice, streamOutput } from './index.js';

let directory = '';
let path = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-device-'));
  path = join(directory, 'device');
  await writeFile(path, Buffer.alloc(3_000_000, 'old'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A file in the place of a device. */
const layer = (changes: Partial<DeviceFacts> = {}): DeviceLayer => ({
  facts: () => Promise.resolve({ size: 3_000_000, readOnly: false, users: [], ...changes }),
  open: (path) => open(path, 'r+'),
});

describe('a device', () => {
  it('holds zeros where nothing was written, and what it held behind the end', async () => {
    const device = await openDevice(path, 2_000_000, true, layer());
    await Promise.all([device.sink.write(Buffer.from('far'), 1_500_000), device.sink.write(Buffer.from('back'), 100)]);
    await device.sink.end(2_000_000);
    await device.close();
    const expected = Buffer.alloc(3_000_000, 'old').fill(0, 0, 2_000_000);
    expected.write('far', 1_500_000);
    expected.write('back', 100);
    expect((await readFile(path)).equals(expected)).toBe(true);
    await using file = await device.read();
    expect(file.size).toBe(2_000_000);
    const { createHash } = await import('node:crypto');
    const hash = createHash('sha256').update(expected.subarray(0, 2_000_000)).digest('hex');
    expect(await digest(file, 'sha256')).toBe(hash);
  });

  it.each([
    ['without --force', layer(), false, 1, 'output-exists'],
    ['that is too small', layer(), true, 3_000_001, 'device-too-small'],
    ['that is read-only', layer({ readOnly: true }), true, 1, 'not-writable'],
    ['that is mounted', layer({ users: ['the mount on /'] }), true, 1, 'device-in-use'],
    [
      'that the kernel finds busy',
      { ...layer(), open: () => Promise.reject(Object.assign(new Error(), { code: 'EBUSY' })) },
      true,
      1,
      'device-in-use',
    ],
  ])('%s is refused and not touched', async (_, devices, force, size, code) => {
    await expect(openDevice(path, size, force, devices)).rejects.toMatchObject({ code });
    expect((await readFile(path)).equals(Buffer.alloc(3_000_000, 'old'))).toBe(true);
  });

  it('is never written behind its end', async () => {
    const device = await openDevice(path, 512, true, layer({ size: 4096 }));
    await expect(device.sink.write(Buffer.alloc(10), 4090)).rejects.toMatchObject({ code: 'device-too-small' });
    await device.close();
    expect((await readFile(path)).subarray(4096).equals(Buffer.alloc(3_000_000, 'old').subarray(4096))).toBe(true);
  });

  it.each([
    [0x801, '8:1'],
    [0xfe00, '254:0'],
    [0x100301, '3:257'],
  ])('number %i is %s', (number, text) => expect(deviceNumber(number)).toBe(text));
});

describe('a pipe', () => {
  const collect = (parts: Buffer[], fail?: Error) =>
    new Writable({
      write: (part: Buffer, _, done) => {
        parts.push(Buffer.from(part));
        done(fail);
      },
    }).on('error', () => undefined);

  it('gets zeros for gaps, in order, and the hash of all', async () => {
    const parts: Buffer[] = [];
    const output = streamOutput(collect(parts), new AbortController().signal);
    await Promise.all([output.sink.write(Buffer.from('a'), 3), output.sink.write(Buffer.from('b'), 1_200_000)]);
    await output.sink.end(1_200_010);
    const expected = Buffer.alloc(1_200_010);
    expected.write('a', 3);
    expected.write('b', 1_200_000);
    expect(Buffer.concat(parts).equals(expected)).toBe(true);
    expect(output.bytes()).toBe(expected.length);
    const { createHash } = await import('node:crypto');
    expect(output.sha256()).toBe(createHash('sha256').update(expected).digest('hex'));
  });

  it('lets no writer go back', async () => {
    const output = streamOutput(collect([]), new AbortController().signal);
    await output.sink.write(Buffer.from('abc'), 0);
    await expect(output.sink.write(Buffer.from('x'), 1)).rejects.toThrow('went back');
  });

  it('ends when its reader does, and when the run does though nobody reads', async () => {
    const gone = streamOutput(
      collect([], Object.assign(new Error('gone'), { code: 'EPIPE' })),
      new AbortController().signal,
    );
    await expect(gone.sink.write(Buffer.from('a'), 0)).rejects.toThrow('gone');
    const controller = new AbortController();
    const stuck = streamOutput(new Writable({ write: () => undefined }), controller.signal);
    const writing = stuck.sink.write(Buffer.from('a'), 0);
    controller.abort(new Error('enough'));
    await expect(writing).rejects.toThrow('enough');
  });
});
