import { describe, expect, it } from 'vitest';
import { nameBytes } from './name-bytes.js';
import { parseAttributes } from './attributes.js';

describe('extended attributes', () => {
  it('are read by path, with odd names, and only those that belong to the guest', () => {
    const { byPath, values } = parseAttributes(
      [
        '# file: usr/bin/ping',
        'security.capability=0x0100000200200000000000000000000000000000',
        'security.selinux=0x73797374656d',
        '',
        '# file: ./home/a\\040b\\134c\\303\\244',
        'user.note=0x6869',
        'trusted.overlay.opaque=0x79',
        '',
        '# file: .',
        'user.empty=0x',
        '',
      ].join('\n'),
    );
    expect([...byPath.keys()]).toEqual(['usr/bin/ping', nameBytes('home/a b\\cä'), '']);
    const [ping] = byPath.get('usr/bin/ping') ?? [];
    expect(ping?.name).toBe('security.capability');
    expect(values.get(ping?.file ?? '')).toHaveLength(20);
    expect([...values.values()].map((value) => value.length)).toEqual([20, 2, 0]);
  });
});
