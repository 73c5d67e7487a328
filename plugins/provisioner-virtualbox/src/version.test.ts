import { expect, it } from 'vitest';
import { isAtLeast, parseVersion } from './version.js';

it.each([
  ['7.2.22_Debianr175245\n', 7, 2],
  ['6.1.50r161033', 6, 1],
  ['7.1.4_BETA1r12345\r\n', 7, 1],
  [
    'WARNING: The character device /dev/vboxdrv does not exist.\n\t Please install 1.2.3 of it\n7.0.20_Debianr163906\n',
    7,
    0,
  ],
])('reads the version in %j', (output, major, minor) => {
  expect(parseVersion(output)).toMatchObject({ major, minor });
});

it('finds none where there is none', () => {
  expect(parseVersion('bash: VBoxManage: no such thing\n')).toBeUndefined();
});

it('compares', () => {
  const version = { major: 7, minor: 0, text: '7.0.20' };
  expect([isAtLeast(version, 6, 1), isAtLeast(version, 7, 0), isAtLeast(version, 7, 1)]).toEqual([true, true, false]);
});
