import { memoryDisk, noise, texture, write } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { frontLayout } from './front-writer.js';
import { HEADER } from './layout.js';
import { xenQcow2 } from './xen-qcow2.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const CLUSTER = 64 * KiB;
const OFFSET = 0x00ff_ffff_ffff_fe00n;

/**
 * Reads an image as XCP-ng's import does, from a pipe: tables in ascending order, then each data cluster right behind
 * the last cluster that was read. Returns the guest clusters found.
 */
function streamDecode(bytes: Buffer): number[] {
  let last = 0;
  const readTable = (cluster: number) => {
    if (cluster > last) last = cluster; // tables in between are kept in memory
  };
  const tableAt = Number(bytes.readBigUInt64BE(HEADER.refcountTableOffset)) / CLUSTER;
  for (let n = 0; n < bytes.readUInt32BE(HEADER.refcountTableClusters); n++) readTable(tableAt + n);
  const l1 = Number(bytes.readBigUInt64BE(HEADER.l1TableOffset));
  const data = new Map<number, number>();
  for (let index = 0; index < bytes.readUInt32BE(HEADER.l1Size); index++) {
    readTable((l1 + index * 8) >> 16);
    const l2 = Number(bytes.readBigUInt64BE(l1 + index * 8) & OFFSET);
    if (l2 === 0) continue;
    readTable(l2 / CLUSTER);
    for (let entry = 0; entry < CLUSTER / 8; entry++) {
      const host = Number(bytes.readBigUInt64BE(l2 + entry * 8) & OFFSET) / CLUSTER;
      if (host !== 0) data.set(host, index * (CLUSTER / 8) + entry);
    }
  }
  const guests: number[] = [];
  for (const [host, guest] of [...data].sort(([a], [b]) => a - b)) {
    if (host !== last + 1) throw new Error(`cluster ${host} does not follow ${last}`);
    last = host;
    guests.push(guest);
  }
  return guests;
}

describe('the writer for XCP-ng', () => {
  it.each([
    ['sparse', memoryDisk(3 * GiB, [{ offset: GiB, bytes: noise(200 * KiB) }]), [16384, 16385, 16386, 16387]],
    ['full', memoryDisk(5 * CLUSTER, [{ offset: 0, bytes: texture(5 * CLUSTER) }]), [0, 1, 2, 3, 4]],
    ['empty', memoryDisk(GiB, []), [0]],
  ])('can be read from a pipe: %s', async (_, disk, expected) => {
    const { sink } = await write(xenQcow2, disk, {});
    expect(streamDecode(Buffer.from(sink.bytes()))).toEqual(expected);
  });

  it('rounds the size up to a cluster and writes the header as documented', async () => {
    const { sink, writer } = await write(xenQcow2, memoryDisk(MiB + 512, [{ offset: 0, bytes: noise(512) }]), {});
    expect(writer.size).toBe(MiB + CLUSTER);
    expect(sink.size).toBe(6 * CLUSTER); // header, refcount table and block, L1, L2, one data cluster
    const bytes = Buffer.from(sink.bytes());
    expect(bytes.readUInt32BE(HEADER.version)).toBe(3);
    expect(bytes.readUInt32BE(HEADER.clusterBits)).toBe(16);
    expect(Number(bytes.readBigUInt64BE(HEADER.refcountTableOffset))).toBe(CLUSTER);
    expect(Number(bytes.readBigUInt64BE(HEADER.l1TableOffset))).toBe(3 * CLUSTER);
  });

  it('has room for every table of the largest disk', () => {
    const size = xenQcow2.capabilities.maxSize;
    const layout = frontLayout(size, CLUSTER);
    const clusters = layout.data / CLUSTER + size / CLUSTER;
    expect((layout.l1 - layout.refcountBlocks) / CLUSTER).toBe(Math.ceil(clusters / 32_768));
    expect(layout.l1Size).toBe(size / (512 * MiB));
    expect(layout.refcountTableClusters).toBe(1);
  });
});
