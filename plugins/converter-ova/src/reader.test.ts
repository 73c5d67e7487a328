import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { digest, type ImageFile } from '@polyvisor/core';
import { available, memoryDisk, memoryFile, texture, write } from '@polyvisor/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { ova } from './ova.js';
import { openOva, verifyManifest } from './reader.js';
import { TAR_BLOCK } from './tar.js';
import { encodeTarHeader } from './tar-header.js';
import { listArchive } from './tar-reader.js';

const MiB = 2 ** 20;
const SIZE = 8 * MiB;
const PIECES = [{ offset: MiB, bytes: texture(300_000, 3) }];

interface Member {
  readonly name: string;
  readonly content: Uint8Array;
  /** Changes the header, whose checksum is then set right again. */
  readonly change?: (header: Buffer) => void;
}

let ovf: string;
let disk: Buffer;

beforeAll(async () => {
  const { sink } = await write(ova, memoryDisk(SIZE, PIECES), {});
  const bytes = Buffer.from(sink.bytes());
  const contents = (await listArchive(sink.file())).map(({ offset, size }) => bytes.subarray(offset, offset + size));
  ovf = (contents[0] as Buffer).toString();
  disk = contents[2] as Buffer;
});

/** An archive as it comes, with any members at all. */
function archive(members: readonly Member[], trailer = 1024): Buffer {
  return Buffer.concat([
    ...members.flatMap(({ name, content, change }) => {
      const header = encodeTarHeader({ name, size: content.length, modified: 0 });
      change?.(header);
      let sum = 0;
      header.fill(' ', 148, 156);
      for (const byte of header) sum += byte;
      header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
      return [header, content, Buffer.alloc((TAR_BLOCK - (content.length % TAR_BLOCK)) % TAR_BLOCK)];
    }),
    Buffer.alloc(trailer),
  ]);
}

const text = (content: string) => Buffer.from(content);
const descriptor = (content = ovf) => ({ name: 'vm.ovf', content: text(content) });
const vmdk = (content: Uint8Array = disk) => ({ name: 'sample-disk1.vmdk', content });
const manifest = (content: string) => ({ name: 'vm.mf', content: text(content) });
const sha = (content: string | Uint8Array, algorithm = 'sha256') => createHash(algorithm).update(content).digest('hex');

async function expectDisk(bytes: Buffer) {
  const { disk: opened, facts } = await openOva(memoryFile(bytes));
  expect(await digest(opened, 'sha256')).toBe(await digest(memoryDisk(SIZE, PIECES), 'sha256'));
  return facts;
}

describe('reading an OVA', () => {
  it('tells what it is', async () => {
    const { sink } = await write(ova, memoryDisk(SIZE, PIECES), {});
    const { facts } = await openOva(sink.file());
    expect(facts).toMatchObject({
      machine: 'sample',
      'system type': 'vmx-13',
      guest: 'Debian GNU/Linux 12 (64-bit)',
      'disk file': 'sample-disk1.vmdk',
      manifest: 'sha256',
      'grain directory': 'behind the data',
    });
    expect(facts).not.toHaveProperty('capacity in the descriptor');
  });

  it('takes what other writers do', async () => {
    expect(await expectDisk(archive([descriptor(), vmdk()]))).toMatchObject({ manifest: 'none' });
    await expectDisk(archive([vmdk(), descriptor()]));
    for (const trailer of [0, 512, 10240]) await expectDisk(archive([descriptor(), vmdk()], trailer));
    const posix = (header: Buffer) => void header.write('ustar\u000000', 257, 'latin1');
    await expectDisk(
      archive([
        { ...descriptor(), change: posix },
        { ...vmdk(), change: posix },
      ]),
    );
    const spaced = `SHA256 (vm.ovf) = ${sha(ovf).toUpperCase()}\r\n\r\nSHA1(sample-disk1.vmdk)= ${sha(disk, 'sha1')}\r\n`;
    const certificate = { name: 'vm.cert', content: text('x') };
    expect(await expectDisk(archive([descriptor(), manifest(spaced), certificate, vmdk()]))).toMatchObject({
      manifest: 'sha256, sha1',
      certificate: 'present, not checked',
    });
    await expectDisk(archive([descriptor(ovf.replaceAll('sample-disk1.vmdk', 'sample%2Ddisk1.vmdk')), vmdk()]));
    await expectDisk(archive([descriptor(ovf.replaceAll('ovf:', 'o:').replace('xmlns:ovf', 'xmlns:o')), vmdk()]));
    await expectDisk(archive([descriptor(`\ufeff${ovf}`), vmdk()]));
  });

  it("takes the VMDK's capacity and tells when the descriptor differs", async () => {
    const wrong = ovf.replace('"8388608"', '"16"').replace('"byte"', '"byte * 2^30"');
    const { disk: opened, facts } = await openOva(memoryFile(archive([descriptor(wrong), vmdk()])));
    expect(opened.size).toBe(SIZE);
    expect(facts['capacity in the descriptor']).toBe(16 * 2 ** 30);
  });

  it('shows nothing that would paint the terminal or fill it', async () => {
    const evil = ovf.replace('sample</Name>', `\u001b[2J${'x'.repeat(1000)}</Name>`);
    const { facts } = await openOva(memoryFile(archive([descriptor(evil), vmdk()])));
    expect(facts['machine']).toBe(`\ufffd[2J${'x'.repeat(96)}`);
    const broken = openOva(memoryFile(archive([descriptor(`<r>${'<'.repeat(10_000)}</r>`), vmdk()])));
    await expect(broken).rejects.toSatisfy((error: Error) => error.message.length < 300);
  });

  it.skipIf(!available('tar', 'tar'))('reads what GNU tar packs, and not what it packs in other ways', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      await writeFile(join(scratch, 'vm.ovf'), ovf);
      await writeFile(join(scratch, 'sample-disk1.vmdk'), disk);
      const pack = async (...args: string[]) => {
        const path = join(scratch, 'vm.ova');
        await promisify(execFile)('tar', ['--create', '--file', path, '--directory', scratch, ...args]);
        return readFile(path);
      };
      await expectDisk(await pack('--format=gnu', 'vm.ovf', 'sample-disk1.vmdk'));
      await expectDisk(await pack('--format=ustar', 'vm.ovf', 'sample-disk1.vmdk'));
      const refused = async (bytes: Buffer, message: RegExp) =>
        expect(openOva(memoryFile(bytes))).rejects.toThrow(message);
      await refused(
        await pack('--format=pax', '--pax-option=a:=b', 'vm.ovf', 'sample-disk1.vmdk'),
        /not a regular file/,
      );
      await refused(await pack('--format=gnu', './vm.ovf', './sample-disk1.vmdk'), /not a plain file name/);
      await refused(await pack('--format=gnu', '.'), /not a regular file/);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });

  it('is sure only of archives that begin with a descriptor', async () => {
    expect(await ova.detect(memoryFile(archive([descriptor(), vmdk()])))).toBe('yes');
    expect(await ova.detect(memoryFile(archive([vmdk(), descriptor()])))).toBe('maybe');
    expect(await ova.detect(memoryFile(new Uint8Array(1024)))).toBe('no');
  });

  it('gives QEMU the place of the disk in the file', async () => {
    const bytes = archive([descriptor(), vmdk()]);
    const offset = bytes.length - 1024 - disk.length;
    expect(await ova.blockNode?.(memoryFile(bytes, '/images/vm.ova'))).toEqual({
      driver: 'vmdk',
      file: { driver: 'raw', offset, size: disk.length, file: { driver: 'file', filename: '/images/vm.ova' } },
    });
  });
});

describe('a gzipped disk', () => {
  const gzipped = (content: Uint8Array = disk, capacity = `${SIZE}`) => {
    const packed = gzipSync(content);
    const text = ovf
      .replace('<File ', '<File ovf:compression="gzip" ')
      .replace(/ovf:size="\d+"/, `ovf:size="${packed.length}"`)
      .replace('sample-disk1.vmdk', 'sample-disk1.vmdk.gz')
      .replace(/ovf:capacity="\d+"/, capacity === '' ? '' : `ovf:capacity="${capacity}"`);
    return archive([descriptor(text), { name: 'sample-disk1.vmdk.gz', content: packed }]);
  };
  let disposed = 0;
  /** Expands into memory, as the host does into a file. */
  const expand = async (bytes: AsyncIterable<Uint8Array>, size: number): Promise<ImageFile> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(Uint8Array.from(chunk));
    const whole = Buffer.concat(chunks);
    expect(whole.length).toBe(size);
    return {
      ...memoryFile(whole),
      [Symbol.asyncDispose]: () => {
        disposed++;
        return Promise.resolve();
      },
    };
  };

  it('is expanded, and what that took is given back', async () => {
    disposed = 0;
    const { disk: opened } = await openOva(memoryFile(gzipped()), { expand });
    expect(await digest(opened, 'sha256')).toBe(await digest(memoryDisk(SIZE, PIECES), 'sha256'));
    expect(disposed).toBe(0);
    await opened[Symbol.asyncDispose]();
    expect(disposed).toBe(1);
  });

  it('is given back when it is no VMDK', async () => {
    disposed = 0;
    await expect(openOva(memoryFile(gzipped(Buffer.alloc(4096, 1))), { expand })).rejects.toThrow(/not a sparse VMDK/);
    expect(disposed).toBe(1);
  });

  it('is refused when it is longer than its disk can be, before any of it is kept', async () => {
    let asked = false;
    const bomb = gzipped(Buffer.alloc(40 * MiB), `${MiB}`);
    const never = () => {
      asked = true;
      return Promise.reject(new Error('no'));
    };
    await expect(openOva(memoryFile(bomb), { expand: never })).rejects.toThrow(/larger than its descriptor allows/);
    expect(asked).toBe(false);
  });

  it('is refused when nothing bounds it, or it is not gzip, or damaged', async () => {
    await expect(openOva(memoryFile(gzipped(disk, '')), { expand })).rejects.toThrow(/does not give its capacity/);
    const plain = ovf.replace('<File ', '<File ovf:compression="gzip" ');
    await expect(openOva(memoryFile(archive([descriptor(plain), vmdk()])), { expand })).rejects.toThrow(
      /not the gzip file/,
    );
    const damaged = gzipped();
    damaged.fill(0x55, damaged.length - 3000, damaged.length - 2500);
    await expect(openOva(memoryFile(damaged), { expand })).rejects.toMatchObject({ name: 'FormatError' });
    expect(await ova.blockNode?.(memoryFile(gzipped())).catch((error: Error) => error.message)).toContain(
      'cannot read it in place',
    );
  });
});

describe('the manifest of an OVA', () => {
  const lines = () => `SHA256(vm.ovf)= ${sha(ovf)}\nSHA256(sample-disk1.vmdk)= ${sha(disk)}\n`;

  it('is checked on request, the descriptor always', async () => {
    const whole = archive([descriptor(), manifest(lines()), vmdk()]);
    expect(await verifyManifest(memoryFile(whole))).toHaveLength(2);

    const damaged = Buffer.from(whole);
    damaged[damaged.length - 1024 - 512 * 6] = 0x55;
    await expect(verifyManifest(memoryFile(damaged))).rejects.toMatchObject({ code: 'ova-digest-mismatch' });

    const forged = archive([descriptor(ovf.replace('sample</Name>', 'forged</Name>')), manifest(lines()), vmdk()]);
    await expect(openOva(memoryFile(forged))).rejects.toThrow(/vm\.ovf is not what the manifest says/);
    await expect(verifyManifest(memoryFile(archive([descriptor(), vmdk()])))).rejects.toThrow(/no manifest/);
  });

  it.each<[string, () => string, RegExp]>([
    [
      'lists what is not there',
      () => `${lines()}SHA256(/etc/passwd)= ${sha('')}\n`,
      /"\/etc\/passwd", which is not in the archive/,
    ],
    ['lists a member twice', () => lines() + lines(), /lists "vm\.ovf" twice/],
    ['has another algorithm', () => `MD5(vm.ovf)= ${sha(ovf, 'md5')}\n`, /not "SHA256\(file\)= digest"/],
    ['has a name as OpenSSL 3 writes it', () => `SHA2-256(vm.ovf)= ${sha(ovf)}\n`, /not "SHA256\(file\)= digest"/],
    ['has a digest cut short', () => `SHA256(vm.ovf)= ${sha(ovf).slice(2)}\n`, /not "SHA256\(file\)= digest"/],
    ['is prose', () => 'hello\n', /not "SHA256\(file\)= digest"/],
  ])('is refused when it %s', async (_, content, message) => {
    const failure = openOva(memoryFile(archive([descriptor(), manifest(content()), vmdk()])));
    await expect(failure).rejects.toMatchObject({ name: 'FormatError' });
    await expect(failure).rejects.toThrow(message);
  });

  it('must belong to the descriptor, and be the only one', async () => {
    const other = { name: 'other.mf', content: text(lines()) };
    await expect(openOva(memoryFile(archive([descriptor(), other, vmdk()])))).rejects.toThrow(/it must be vm\.mf/);
    await expect(openOva(memoryFile(archive([descriptor(), manifest(lines()), other, vmdk()])))).rejects.toThrow(
      /2 members that end in \.mf/,
    );
  });
});

describe('a hostile OVA', () => {
  const type = (flag: string) => (header: Buffer) => void header.write(flag, 156, 'latin1');
  const named = (name: string) => (header: Buffer) => void header.fill(0, 0, 100).write(name, 0, 'latin1');
  const sized = (field: string | Buffer) => (header: Buffer) =>
    void (typeof field === 'string' ? header.write(field, 124, 'latin1') : field.copy(header, 124));
  const base256 = (hex: string) => sized(Buffer.from(hex, 'hex'));
  const bad = (change: (header: Buffer) => void) => () => archive([descriptor(), { ...vmdk(), change }]);
  const xml = (from: string | RegExp, to: string) => () => archive([descriptor(ovf.replace(from, to)), vmdk()]);
  const FILE = /<File [^>]*>/;

  const cases: Record<string, [() => Buffer, RegExp]> = {
    'is no archive': [() => Buffer.alloc(2048, 7), /not a tar header/],
    'is empty': [() => Buffer.alloc(0), /no \.ovf/],
    'has a symbolic link': [bad(type('2')), /not a regular file.*type "2"/],
    'has a hard link': [bad(type('1')), /not a regular file/],
    'has a device': [bad(type('3')), /not a regular file/],
    'has a pipe': [bad(type('6')), /not a regular file/],
    'has a directory': [bad(type('5')), /not a regular file/],
    'has pax records': [bad(type('x')), /not a regular file/],
    'has global pax records': [bad(type('g')), /not a regular file/],
    'has a GNU long name': [bad(type('L')), /not a regular file/],
    'has a sparse member': [bad(type('S')), /not a regular file/],
    'has an absolute name': [bad(named('/etc/cron.d/x')), /not a plain file name/],
    'has a name upwards': [bad(named('../x')), /not a plain file name/],
    'has a name that is the directory above': [bad(named('..')), /not a plain file name/],
    'has a path': [bad(named('dir/x.vmdk')), /not a plain file name/],
    'has a path of Windows': [bad(named('dir\\x.vmdk')), /not a plain file name/],
    'has a drive letter': [bad(named('C:x.vmdk')), /not a plain file name/],
    'has a control character in a name': [bad(named('x\u001b[2J.vmdk')), /not a plain file name/],
    'has a name beyond ASCII': [bad(named('x\u00e9.vmdk')), /not a plain file name/],
    'has an empty name': [bad(named('')), /not a plain file name/],
    'has a prefix': [bad((header) => void (header.write('ustar\u000000', 257, 'latin1'), header.write('dir', 345))), /not a plain file name/],
    'has a name twice': [() => archive([descriptor(), vmdk(), vmdk()]), /two members named "sample-disk1\.vmdk"/],
    'has a name twice but for its case': [() => archive([descriptor(), vmdk(), { name: 'SAMPLE-DISK1.vmdk', content: disk }]), /two members named/],
    'has a wrong checksum': [() => { const bytes = archive([descriptor(), vmdk()]); bytes.write('x', 1); return bytes; }, /not a tar header, or a damaged one/],
    'has an old magic': [bad((header) => void header.fill(0, 257, 265)), /not a tar header/],
    'has a size that is not octal': [bad(sized('0000000009x\0')), /impossible size/],
    'has no size': [bad(sized('\0\0\0\0\0\0\0\0\0\0\0\0')), /impossible size/],
    'has a negative size': [bad(base256('ffffffffffffffffffffff00')), /impossible size/],
    'has a size beyond 2^53': [bad(base256('800000000020000000000000')), /impossible size/],
    'has a size beyond the file': [bad(sized('77777777777\0')), /impossible size/],
    'has a size beyond the file in base 256': [bad(base256('800000000000000240000000')), /impossible size/],
    'ends within a header': [() => archive([descriptor(), vmdk()], 100), /ends within a block/],
    'ends within its last padding': [() => archive([descriptor(), vmdk(), { name: 'x', content: text('x') }], 0).subarray(0, -100), /does not end where/],
    'has an endless trailer': [() => archive([descriptor(), vmdk()], 200 * 512), /does not end where it should/],
    'has data behind its end': [() => { const bytes = archive([descriptor(), vmdk()], 2048); bytes.write('x', bytes.length - 9); return bytes; }, /data behind the end/],
    'is followed by another': [() => Buffer.concat([archive([descriptor(), vmdk()]), archive([descriptor()])]), /behind the end|not end where/],
    'has too many members': [() => archive(Array.from({ length: 101 }, (_, index) => ({ name: `${index}`, content: text('') }))), /more than 100 members/],
    'has no descriptor': [() => archive([vmdk()]), /no \.ovf/],
    'has two descriptors': [() => archive([descriptor(), vmdk(), { name: 'b.ovf', content: text(ovf) }]), /2 members that end in \.ovf/],
    'has a huge descriptor': [() => archive([descriptor(ovf.padEnd(MiB + 1)), vmdk()]), /vm\.ovf is too long/],
    'has a DOCTYPE': [xml('<Envelope', '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n<Envelope'), /DOCTYPE/],
    'laughs a billion times': [xml('<Envelope', '<!doctype x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<Envelope'), /DOCTYPE/],
    'is not well-formed': [xml('</References>', ''), /line \d+/],
    'is not UTF-8': [() => archive([{ name: 'vm.ovf', content: Buffer.from([0x3c, 0xff, 0xfe]) }, vmdk()]), /not UTF-8/],
    'is UTF-16': [() => archive([{ name: 'vm.ovf', content: Buffer.from(`\ufeff${ovf}`, 'utf16le') }, vmdk()]), /not UTF-8/],
    'is empty XML': [() => archive([descriptor(''), vmdk()]), /not XML/],
    'is nested deep': [xml('<Info>', `${'<a>'.repeat(1000)}${'</a>'.repeat(1000)}<Info>`), /nested/i],
    'is something else': [() => archive([descriptor('<html/>'), vmdk()]), /root is html/],
    'has several machines': [xml(/(<VirtualSystem [^]*<\/VirtualSystem>)/, '$1$1'), /exactly one machine/],
    'has a collection of machines': [xml(/VirtualSystem\b/g, 'VirtualSystemCollection'), /exactly one machine/],
    'has no disk': [xml(/<Disk .*>/, ''), /no disk/],
    'has two disks of one name': [xml(/(<Disk .*>)/, '$1$1'), /two disks of id "vmdisk1"/],
    'has a disk with a parent': [xml('<Disk ', '<Disk ovf:parentRef="x" '), /difference to a parent/],
    'has an empty disk': [xml(' ovf:fileRef="file1"', ''), /made empty/],
    'has a VHD': [xml(/ovf:format="[^"]*"/, 'ovf:format="http://go.microsoft.com/fwlink/?LinkId=137171"'), /only VMDK/],
    'refers to nothing': [xml('ovf:fileRef="file1"', 'ovf:fileRef="file2"'), /refers to the file "file2"/],
    'refers to a prototype': [xml('ovf:fileRef="file1"', 'ovf:fileRef="__proto__"'), /refers to the file "__proto__"/],
    'has a file twice': [xml(/(<File .*>)/, '$1$1'), /two files of id "file1"/],
    'refers to a host file': [xml(FILE, '<File ovf:href="/etc/passwd" ovf:id="file1"/>'), /"\/etc\/passwd", which is not a member/],
    'refers upwards': [xml(FILE, '<File ovf:href="../sample-disk1.vmdk" ovf:id="file1"/>'), /not a member/],
    'refers to the network': [xml(FILE, '<File ovf:href="http://example.org/x.vmdk" ovf:id="file1"/>'), /not a member/],
    'refers by a file URL': [xml(FILE, '<File ovf:href="file:///etc/passwd" ovf:id="file1"/>'), /not a member/],
    'refers upwards in disguise': [xml(FILE, '<File ovf:href="%2e%2e%2fsample-disk1.vmdk" ovf:id="file1"/>'), /not a member/],
    'refers in broken disguise': [xml(FILE, '<File ovf:href="%zz" ovf:id="file1"/>'), /not a member/],
    'refers twice': [xml('<File ', '<File vmw:href="vm.ovf" '), /refers to "", which is not a member/],
    'has a disk compressed in an unknown way': [xml('<File ', '<File ovf:compression="lzma" '), /compressed once more, as "lzma"/],
    'has a gzipped disk, and no place for it': [xml('<File ', '<File ovf:compression="gzip" '), /gzipped, and there is no place/],
    'has a disk in chunks': [xml('<File ', '<File ovf:chunkSize="1000" '), /split into chunks/],
    'gives another size': [xml(/ovf:size="\d+"/, 'ovf:size="1"'), /another size/],
    'has a disk that is no VMDK': [() => archive([descriptor(), vmdk(Buffer.alloc(disk.length, 1))]), /not a sparse VMDK/],
    'has a descriptor for a disk': [xml('sample-disk1.vmdk', 'vm.ovf'), /another size|not a sparse VMDK/],
  }; // prettier-ignore
  for (const [name, [make, message]] of Object.entries(cases)) {
    it(`is refused when it ${name}`, async () => {
      const failure = openOva(memoryFile(make(), 'evil.ova'));
      await expect(failure).rejects.toMatchObject({ name: 'FormatError' });
      await expect(failure).rejects.toThrow(/^evil\.ova/);
      await expect(failure).rejects.toThrow(message);
    });
  }
});
