import { type Detection, type DiskConverter, errorKind, type ImageFile, PolyvisorError } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { recogniseFormat } from './detect.js';

function file(path: string, bytes: Uint8Array = Buffer.alloc(4096, 1)): ImageFile {
  return {
    path,
    size: bytes.length,
    async *extents() {
      yield { offset: 0, length: bytes.length };
    },
    read: (into, offset) => {
      if (offset + into.length > bytes.length) return Promise.reject(new Error(`read at ${offset}`));
      return Promise.resolve(void into.set(bytes.subarray(offset, offset + into.length)));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Says `answer` to a file that holds something and `toBlank` to one that holds nothing. */
function format(id: string, answer: Detection, toBlank: Detection = 'no'): DiskConverter {
  return {
    id,
    extension: `.${id}`,
    detect: async (one: ImageFile) => {
      const bytes = Buffer.alloc(Math.min(4096, one.size));
      await one.read(bytes, 0);
      return bytes.every((byte) => byte === 0) ? toBlank : answer;
    },
  } as unknown as DiskConverter;
}

const anything = format('anything', 'maybe', 'maybe');

async function failure(promise: Promise<unknown>): Promise<PolyvisorError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(errorKind(error)).toBe('definition');
  return error as PolyvisorError;
}

describe('recogniseFormat', () => {
  it.each([
    ['the one that is sure', [anything, format('a', 'maybe'), format('b', 'yes')], 'b'],
    ['the one that finds it possible', [anything, format('a', 'maybe'), format('b', 'no')], 'a'],
    ['the one that takes anything, when nobody else wants it', [anything, format('a', 'no')], 'anything'],
    ['of several, the one with the extension', [anything, format('disk', 'maybe'), format('b', 'maybe')], 'disk'],
  ])('takes %s', async (_, converters, id) => {
    expect((await recogniseFormat(file('some.disk'), converters)).converter.id).toBe(id);
  });

  it('names all that claim it', async () => {
    const error = await failure(recogniseFormat(file('x'), [format('a', 'yes'), format('b', 'yes'), anything]));
    expect(error).toMatchObject({ code: 'format-ambiguous', hint: 'say which it is: --from a' });
    expect(error.message).toContain('a or b');
  });

  it('says so when nobody knows it', async () => {
    expect(await failure(recogniseFormat(file('x'), [format('a', 'no')]))).toMatchObject({ code: 'format-unknown' });
  });
});

describe('a name that promises another format', () => {
  it('is noted when the content is sure', async () => {
    const { converter, notes } = await recogniseFormat(file('x.b'), [format('a', 'yes'), format('b', 'no'), anything]);
    expect(converter.id).toBe('a');
    expect(notes).toEqual(['x.b is a, although .b is the name of b']);
    const same = Object.assign(format('c', 'no'), { extension: '.a' });
    expect((await recogniseFormat(file('x.a'), [format('a', 'yes'), same])).notes).toEqual([]);
  });

  it('is a refusal when the content could be anything', async () => {
    const error = await failure(recogniseFormat(file('X.B'), [format('a', 'no'), format('b', 'no'), anything]));
    expect(error).toMatchObject({ code: 'format-uncertain' });
    expect(error.hint).toContain('--from anything');
    expect(error.hint).toContain('--from b');
    for (const name of ['x.img', 'x', 'x.anything'])
      expect((await recogniseFormat(file(name), [format('b', 'no'), anything])).notes).toEqual([]);
  });
});

describe('a file that could be anything', () => {
  it('is noted when it ends within a sector, or is an optical disc', async () => {
    const odd = await recogniseFormat(file('x', Buffer.alloc(1000, 1)), [anything]);
    expect(odd.notes).toEqual([expect.stringContaining('488 too many') as string]);
    const disc = Buffer.alloc(40_960, 1);
    disc.write('\x01CD001', 32_768, 'latin1');
    expect((await recogniseFormat(file('x.iso', disc), [anything])).notes).toEqual([
      expect.stringContaining('optical disc') as string,
    ]);
  });
});

/** A header as GNU tar writes it, checksum included. */
function tar(): Buffer {
  const bytes = Buffer.alloc(10_240);
  bytes.write('hello.txt');
  bytes.write('0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        0', 100, 'latin1');
  bytes.write('ustar  \0', 257, 'latin1');
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

function beginning(text: string, size = 4096): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.write(text, 'latin1');
  return bytes;
}

function ending(text: string): Buffer {
  const bytes = Buffer.alloc(4096, 1);
  bytes.write(text, bytes.length - 512, 'latin1');
  return bytes;
}

const FOREIGN: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['QCOW disk of version 1', beginning('QFI\xfb\0\0\0\x01')],
  ['QCOW2', beginning('QFI\xfb\0\0\0\x03')],
  ['VMDK disk', beginning('KDMV\x01\0\0\0')],
  ['descriptor of a VMDK', beginning('# Disk DescriptorFile\nversion=1\n')],
  ['VHDX', beginning('vhdxfile')],
  ['VDI', beginning(`${'<<< Oracle VM VirtualBox Disk Image >>>\n'.padEnd(64, '\0')}\x7f\x10\xda\xbe`)],
  ['QED', beginning('QED\0')],
  ['Parallels', beginning('WithoutFreeSpace\x02')],
  ['Parallels', beginning('WithouFreSpacExt\x02')],
  ['Bochs', beginning('Bochs Virtual HD Image\0\0\0\0\0\0\0\0\0\0Redolog\0\0\0\0\0\0\0\0\0Growing')],
  ['cloop', beginning('#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n')],
  ['COWD', beginning('COWD\x01\0\0\0')],
  ['SESparse', beginning('\xbe\xba\xfe\xca\0\0\0\0\x01\0\0\0\x02\0\0\0')],
  ['DMG', ending('koly\0\0\0\x04\0\0\x02\0')],
  ['encrypted Apple', beginning('encrcdsa\0\0\0\x02')],
  ['sparse Apple', beginning('sprs\0\0\0\x03')],
  ['Android sparse', beginning('\x3a\xff\x26\xed\x01\0\0\0')],
  ['EWF', beginning('EVF\t\r\n\xff\0\x01')],
  ['EWF 2', beginning('EVF2\r\n\x81\0\x02')],
  ['logical evidence', beginning('LVF\t\r\n\xff\0\x01')],
  ['Advanced Forensic', beginning('AFF10\r\n\0')],
  ['partclone', beginning('partclone-image\x000.3.20')],
  ['Windows imaging', beginning('MSWIM\0\0\0\xd0')],
  ['Windows imaging', beginning('WLPWM\0\0\0\xd0')],
  ['LUKS', beginning('LUKS\xba\xbe\0\x02')],
  ['tar archive', tar()],
  ['ZIP', beginning('PK\x03\x04\x14')],
  ['empty ZIP', beginning('PK\x05\x06', 22)],
  ['7z', beginning('7z\xbc\xaf\x27\x1c\0\x04')],
  ['RAR', beginning('Rar!\x1a\x07\x01\0')],
  ['gzip', beginning('\x1f\x8b\x08\0')],
  ['xz', beginning('\xfd7zXZ\0\0\x04')],
  ['bzip2', beginning('BZh91AY&SY')],
  ['zstd', beginning('\x28\xb5\x2f\xfd\x24')],
  ['lz4', beginning('\x04\x22\x4d\x18\x64')],
  ['lzop', beginning('\x89LZO\0\r\n\x1a\n\x10')],
];

describe('formats that nobody reads', () => {
  it.each(FOREIGN)('%s: is named instead of being taken for raw', async (name, bytes) => {
    const error = await failure(recogniseFormat(file('x', bytes), [anything, format('a', 'no')]));
    expect(error).toMatchObject({ code: 'format-unsupported' });
    expect(error.message).toContain(name);
    expect(error.hint).toContain('--from anything');
    // A plugin that reads it wins without a word from this list.
    expect(await recogniseFormat(file('x', bytes), [anything, format('a', 'maybe')])).toMatchObject({
      converter: { id: 'a' },
      notes: [],
    });
  });

  it('are named by the file when the content has no mark', async () => {
    const error = await failure(recogniseFormat(file('set.vhds'), [anything]));
    expect(error).toMatchObject({ code: 'format-unsupported' });
    expect(error.message).toContain('VHD set');
  });

  it('are not seen in what only begins alike', async () => {
    for (const bytes of [
      beginning('QFI\xfb\0\0\0\0'),
      beginning('#!/bin/sh\n#Vendor script\n'),
      beginning('BZh, said the bee'),
      (() => {
        const bytes = tar();
        bytes[0] = 0;
        return bytes;
      })(),
      beginning('P', 1),
    ])
      expect((await recogniseFormat(file('x', bytes), [anything])).converter.id).toBe('anything');
  });
});
