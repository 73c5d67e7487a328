import { join } from 'node:path';
import { mkdir, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { echoGuest } from '../echo-guest.js';
import { echoGuestMedium } from '../echo-guest-medium.js';
import { talkativeKernel } from '../talkative-kernel.js';
import { type HypervisorSuite, type MakeHypervisor, openBench, start, writeMedium } from './bench.js';

/** What the capabilities promise about starting, each tried. */
export function describeStarts(make: MakeHypervisor, suite: HypervisorSuite, limit: number): void {
  const { starts } = suite.capabilities;

  it('starts the disk', () => {
    expect(starts).toContain('disk');
  });

  it(
    'starts a medium while nothing on the disk can be started, and the disk as soon as it can',
    async () => {
      await using bench = await openBench(make, suite);
      const medium = await writeMedium(bench, 'medium.iso', echoGuestMedium());
      const empty = await bench.spec({
        disk: await bench.disk('empty.disk', new Uint8Array(512)),
        media: [{ kind: 'cdrom', path: medium }],
      });
      {
        await using machine = await bench.create(empty);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(empty, start(1, 'media'));
      }
      const installed = await bench.spec({ media: [{ kind: 'cdrom', path: medium }] });
      const machine = await bench.create(installed);
      await machine.start({ kind: 'disk' }, bench.signal);
      await bench.console(installed, start(1, 'guest'));
    },
    limit,
  );

  it.runIf(starts.includes('kernel'))(
    'starts a kernel with its arguments and its first disk in memory, and stops when that restarts',
    async () => {
      await using bench = await openBench(make, suite);
      const spec = await bench.spec();
      const kernel = await writeMedium(bench, 'kernel', talkativeKernel());
      const initrd = await writeMedium(bench, 'initrd', Buffer.from('what the first disk in memory holds\0'));
      const machine = await bench.create(spec);
      const words = ['quiet', 'answers=http://10.0.2.2:8080/x,y', 'last=1'];
      await machine.start({ kind: 'kernel', kernel, initrd, arguments: words }, bench.signal);
      expect(await machine.stopped(bench.signal)).toMatchObject({ kind: 'restarted' });
      const said = await bench.console(spec, /\n/);
      expect(said).toContain(words.join(' '));
      expect(said).toContain('what the first disk in memory holds');
      // The way of every installation: then it is started from its disk.
      await machine.start({ kind: 'disk' }, bench.signal);
      await bench.console(spec, start(1));
    },
    limit,
  );

  it.runIf(starts.includes('network'))(
    'starts a file over the network, and stops when that restarts',
    async () => {
      await using bench = await openBench(make, suite);
      const spec = await bench.spec({ disk: await bench.disk('empty.disk', new Uint8Array(512)) });
      const directory = join(bench.directory, 'offered');
      await mkdir(directory);
      await writeFile(join(directory, 'guest.0'), echoGuest('media'));
      const machine = await bench.create(spec);
      await machine.start({ kind: 'network', directory, bootFile: 'guest.0' }, bench.signal);
      await bench.console(spec, start(1, 'media'));
      await machine.press([{ name: 'escape', action: 'type' }], bench.signal);
      expect(await machine.stopped(bench.signal)).toMatchObject({ kind: 'restarted' });
    },
    limit,
  );
}
