import { expect, it } from 'vitest';
import { parseMachineReadable } from './machine-readable.js';

it('reads what showvminfo prints, and skips what is none of it', () => {
  const values = parseMachineReadable(
    [
      'WARNING: The character device /dev/vboxdrv does not exist.',
      '\t Please install the virtualbox-dkms package and the appropriate',
      'name="a \\"quoted\\" \\\\ name"',
      'memory=1024',
      'VRDEClients==0',
      ' rec_screen0',
      'VideoMode="720,400,0"@0,0 1',
      '"SATA Controller-0-0"="/a/path with = in it.vdi"',
      'Forwarding(0)="ssh,tcp,127.0.0.1,2522,,22"',
      'empty=""',
      '',
    ].join('\r\n'),
  );
  expect(Object.fromEntries(values)).toEqual({
    name: 'a "quoted" \\ name',
    memory: '1024',
    VRDEClients: '=0',
    VideoMode: '"720,400,0"@0,0 1',
    'SATA Controller-0-0': '/a/path with = in it.vdi',
    'Forwarding(0)': 'ssh,tcp,127.0.0.1,2522,,22',
    empty: '',
  });
});
