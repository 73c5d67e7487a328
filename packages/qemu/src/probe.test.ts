import { expect, it } from 'vitest';
import { isOlder } from './probe.js';

it.each([
  ['5.2.0', '6.0', true],
  ['6.0', '6.0', false],
  ['7.2.22', '6.0', false],
  ['10.0.0', '6.0', false],
  ['6', '6.0', false],
  ['unknown', '6.0', false],
])('version %s before %s: %s', (version, than, expected) => {
  expect(isOlder(version, than)).toBe(expected);
});
