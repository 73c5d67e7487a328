import { expect, it } from 'vitest';
import { describeSteps, describeTime } from './describe.js';
import { outlineKeystrokes } from './parse.js';

it('tells what would be typed, waited for and let go of', () => {
  const texts = [
    '<esc>A@ url=<%= answers %>/x<enter><wait5>',
    '<wait until screen is still><wait for text "a\\"b" on the serial console 90s><leftCtrlOn><xOn>',
  ];
  expect(describeSteps(outlineKeystrokes(texts, { layout: 'de' }))).toEqual([
    'type    <esc>A@ url=',
    '  keys    escape shift+a altgr+q space u r l shift+0',
    'type    <%= answers %>  (known during a build)',
    'type    /x<enter>',
    '  keys    shift+7 x enter',
    'wait    5 s',
    'wait    until the screen is still for 2 s, at most 2 min',
    'wait    for the text "a\\"b" on the serial console, at most 1 min 30 s',
    'type    <leftCtrlOn><xOn>',
    '  keys    left-ctrl:down x:down',
    'release left-ctrl, x: nothing is held down behind the last step',
  ]);
});

it('tells keys that came without notation', () => {
  expect(describeSteps([{ kind: 'keys', keys: [{ name: 'f10', action: 'type' }] }])).toEqual(['keys    f10']);
});

it.each([
  [0.25, '0.3 ms'],
  [500, '500 ms'],
  [1500, '1.5 s'],
  [80_000, '1 min 20 s'],
  [59_990, '1 min'],
  [119_990, '2 min'],
  [3_600_000, '60 min'],
])('%d ms is %s', (milliseconds, text) => expect(describeTime(milliseconds)).toBe(text));
