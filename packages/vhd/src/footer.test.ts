import { expect, it } from 'vitest';
import { encodeFooter, type Stamp } from './footer.js';
import { encodeDynamicHeader, encodeEmptyBatmap } from './header.js';

const xen: Stamp = {
  creatorApplication: 'tap',
  creatorVersion: 0x0001_0003,
  creatorHostOs: '',
  time: 0,
  uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
};

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('writes the footer of a dynamic disk of 100 MiB', () => {
  const footer = encodeFooter(xen, 100 * 2 ** 20, 512);
  expect(footer.length).toBe(512);
  expect(hex(footer.subarray(0, 84))).toBe(
    '636f6e6563746978' + // conectix
      '00000002' + // features
      '00010000' + // format 1.0
      '0000000000000200' + // dynamic header at 512
      '00000000' + // 2000-01-01
      '74617000' + // tap
      '00010003' + // 1.3
      '00000000' + // no host OS
      '0000000006400000' +
      '0000000006400000' + // 100 MiB, twice
      '03eb0c11' + // 1003/12/17
      '00000003' + // dynamic
      'fffff932' + // checksum
      '0102030405060708090a0b0c0d0e0f10',
  );
  expect(footer.subarray(84).every((byte) => byte === 0)).toBe(true);
});

it('writes the footer of a fixed disk of 3 MiB', () => {
  const windows = { ...xen, creatorApplication: 'win ', creatorVersion: 0x000a_0000, creatorHostOs: 'Wi2k' };
  expect(hex(encodeFooter(windows, 3 * 2 ** 20).subarray(0, 84))).toBe(
    '636f6e6563746978' +
      '00000002' +
      '00010000' +
      'ffffffffffffffff' + // no dynamic header
      '00000000' +
      '77696e20' + // win
      '000a0000' + // 10.0
      '5769326b' + // Wi2k
      '0000000000300000' +
      '0000000000300000' +
      '005a0411' + // 90/4/17
      '00000002' + // fixed
      'fffff079' + // checksum
      '0102030405060708090a0b0c0d0e0f10',
  );
});

it('counts time from 2000 and never leaves its 32 bits', () => {
  const timestamp = (time: number) => encodeFooter({ ...xen, time }, 2 ** 21, 512).readUInt32BE(24);
  expect(timestamp(0)).toBe(0);
  expect(timestamp(946_684_799)).toBe(0);
  expect(timestamp(946_684_800 + 86_400)).toBe(86_400);
  expect(timestamp(946_684_800 + 2 ** 33)).toBe(0xffff_ffff);
});

it('writes the header of a dynamic disk of 50 blocks', () => {
  const header = encodeDynamicHeader(1536, 50);
  expect(header.length).toBe(1024);
  expect(hex(header.subarray(0, 40))).toBe(
    '6378737061727365' + // cxsparse
      'ffffffffffffffff' + // nothing follows
      '0000000000000600' + // table at 1536
      '00010000' + // version 1.0
      '00000032' + // 50 entries
      '00200000' + // of 2 MiB
      'fffff445',
  );
  expect(header.subarray(40).every((byte) => byte === 0)).toBe(true);
});

it('writes an empty batmap with a bit for every block', () => {
  const batmap = encodeEmptyBatmap(2048, 4097);
  expect(hex(batmap.subarray(0, 28))).toBe(
    '74646261746d6170' + // tdbatmap
      '0000000000000a00' + // the map follows
      '00000002' + // in 2 sectors
      '00010002' + // version 1.2
      'ffffffff',
  );
  expect(batmap.length).toBe(512 + 2 * 512);
  expect(batmap.subarray(28).every((byte) => byte === 0)).toBe(true);
});
