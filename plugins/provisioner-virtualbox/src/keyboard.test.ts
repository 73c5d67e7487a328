import type { Key } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { batchesOf } from './keyboard.js';

const key = (name: Key['name'], held: Key['with'] = []): Key => ({ name, action: 'type', with: held });

it('sends keys in few commands, in order, each code once', () => {
  const keys = [key('a', ['left-shift']), key('enter'), key('up'), key('1'), key('b')];
  expect(batchesOf(keys).map(({ codes }) => codes.join(' '))).toEqual(['2a 1e 9e aa 1c 9c e0 48 e0 c8 02 82', '30 b0']);
});

it('sends each key alone where an interval is wished', () => {
  expect(batchesOf([key('a'), key('b')], 200)).toEqual([
    { codes: ['1e', '9e'], pause: 200 },
    { codes: ['30', 'b0'], pause: 200 },
  ]);
});

it('makes no command for keys that send nothing', () => {
  expect(batchesOf([{ name: 'pause', action: 'up' }])).toEqual([]);
});
