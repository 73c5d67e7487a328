import { compareDisks, dataSize, type DiskSource, formatBytes, stage } from '@polyvisor/core';
import { type Image, openImage } from '../image.js';
import { STDIN, stdinTwice } from '../image-input.js';
import { addImageOptions } from '../image-options.js';
import { readPartitions } from '../partitions.js';
import type { Configure } from '../program.js';
import { readData } from '../read-data.js';
import type { Session } from '../session.js';

export const configure: Configure = (command, session) => {
  addImageOptions(
    command.argument('<image>', 'disk image to read').argument('[other]', 'disk image to compare it with'),
  )
    .addHelpText(
      'after',
      `
With one image, every byte that it holds is read through the reader of its format. With two, their disks are compared as
a guest sees them, whatever their formats; one may be longer where its surplus is zero. Exit code 1: they differ.
--parent and --disk are about the first image; a further --from is the format of the second one.

Examples:
  $ polyvisor verify disk.vhd
  $ polyvisor verify disk.raw disk.ova
  $ polyvisor verify child.vhdx flat.raw --parent base.vhdx`,
    )
    .action(async (path, otherPath, options) => {
      const run = session();
      const { from = [], parent = [], disk, ...rest } = options;
      const own = otherPath === undefined ? from : from.slice(0, 1 + parent.length);
      if (path === STDIN && otherPath === STDIN) throw stdinTwice();
      await using image = await openImage(run, path, { ...rest, from: own, parent, disk });
      if (otherPath === undefined) return await readAll(run, image);
      await using other = await openImage(run, otherPath, { ...rest, from: from.slice(own.length) });
      return await compare(run, image, other); // before the images are closed
    });
};

async function readAll(run: Session, { path, converter, disk }: Image): Promise<void> {
  const total = await dataSize(disk, run.signal);
  await stage(run.emit, 'verify', `reading ${path}`, () => readData(disk, total, 'verify', run));
  run.answer(
    { command: 'verify', path, format: converter.id, size: disk.size, read: total, readable: true },
    `${path}: ${converter.id}, ${formatBytes(disk.size)}; all ${formatBytes(total)} of its data can be read`,
  );
}

async function compare(run: Session, image: Image, other: Image): Promise<void> {
  const result = await stage(run.emit, 'verify', `comparing ${image.path} with ${other.path}`, () =>
    compareDisks(image.disk, other.disk, {
      signal: run.signal,
      onProgress: (done, total) => run.emit({ type: 'progress', stage: 'verify', done, total, unit: 'bytes' }),
    }),
  );
  const sides = [image, other].map(({ path, converter, disk }) => ({ path, format: converter.id, size: disk.size }));
  if (result.equal) {
    const surplus = Math.abs(image.disk.size - other.disk.size);
    const note = surplus === 0 ? '' : `; one is ${formatBytes(surplus)} longer, all of it zero`;
    return run.answer({ command: 'verify', images: sides, equal: true }, `the same disk${note}`);
  }
  run.answeredNo = true;
  const place = await placeOf(image.disk, result.offset);
  run.answer(
    {
      command: 'verify',
      images: sides,
      equal: false,
      offset: result.offset,
      first: result.first,
      second: result.second,
    },
    `the disks differ, first at byte ${result.offset}${place}: ${hex(result.first)} in ${image.path}, ${hex(result.second)} in ${other.path}`,
  );
}

async function placeOf(disk: DiskSource, offset: number): Promise<string> {
  if (offset >= disk.size) return ', behind the end of the first one';
  const { partitions } = await readPartitions(disk);
  const inside = partitions.filter(({ start, size }) => offset >= start && offset < start + size).at(-1);
  return inside === undefined ? '' : ` (in partition ${inside.number}, ${inside.type})`;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
