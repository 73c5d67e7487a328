import { DefinitionError } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import type { Key } from '../key.js';
import { outlineKeystrokes, parseKeystrokes } from './parse.js';
import type { Step } from './step.js';

const us = { layout: 'us' };

/** `shift+a`, `left-ctrl:down`: short enough to compare. */
const short = ({ name, action, with: held = [] }: Key) =>
  [...held, name].join('+') + (action === 'type' ? '' : `:${action}`);

function keysOf(text: string, layout = 'us'): string[] {
  return parseKeystrokes([text], { layout }).flatMap((step) =>
    step.kind === 'keys' ? step.keys.map(short) : [step.kind],
  );
}

function problems(texts: readonly string[], layout = 'us'): string[] {
  try {
    parseKeystrokes(texts, { layout });
  } catch (error) {
    if (error instanceof DefinitionError)
      return error.issues.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
    throw error;
  }
  return [];
}

describe('tags', () => {
  it.each([
    ['<Enter><enter><RETURN>', ['enter', 'enter', 'enter']],
    ['<bs><Del><spacebar>', ['backspace', 'delete', 'space']],
    ['<pageUp><page-down>', ['page-up', 'page-down']],
    ['<F11><f1>', ['f11', 'f1']],
    ['<VT12>', ['left-alt+f12']],
    ['<KillX>', ['left-ctrl+left-alt+backspace']],
    ['<leftCtrlOn>c<leftCtrlOff>', ['left-ctrl:down', 'c', 'left-ctrl:up']],
    ['<leftOption><leftOptionOn><rightCommandOff>', ['left-alt', 'left-alt:down', 'right-super:up']],
    ['<aOn><aOff>', ['a:down', 'a:up']],
    ['<AOn><AOff>', ['left-shift:down', 'a:down', 'a:up', 'left-shift:up']],
    ['<>On><<off>', ['left-shift:down', 'period:down', 'comma:up', 'left-shift:up']],
    ['<lt>a<GT>', ['left-shift+comma', 'a', 'left-shift+period']],
  ])('%s', (text, expected) => expect(keysOf(text)).toEqual(expected));

  it.each([
    ['<wait>', 1000],
    ['<Wait5>', 5000],
    ['<wait 5s>', 5000],
    ['<wait1m20s>', 80_000],
    ['<wait500ms>', 500],
    ['<wait1.5h>', 5_400_000],
    ['<wait250us>', 0.25],
    ['<wait><wait><Wait2>', 4000],
  ])('%s waits', (text, milliseconds) => {
    expect(parseKeystrokes([text], us)).toEqual([{ kind: 'wait', milliseconds }]);
  });

  it.each([
    ['<wait until screen is still>', { kind: 'still', still: 2000, limit: 120_000 }],
    ['<Wait until the screen is still 30s>', { kind: 'still', still: 2000, limit: 30_000 }],
    ['<wait until screen is still for 5s within 1m>', { kind: 'still', still: 5000, limit: 60_000 }],
    ['<wait until screen is still for 3m>', { kind: 'still', still: 180_000, limit: 360_000 }],
    ['<wait for text "login:" on the serial console>', { kind: 'text', text: 'login:', limit: 300_000 }],
    [
      '<wait for the text "a > \\"b\\" <c>" on serial console 90>',
      { kind: 'text', text: 'a > "b" <c>', limit: 90_000 },
    ],
  ] as readonly [string, Step][])('%s', (text, step) => {
    expect(parseKeystrokes([text, 'x'], us)).toEqual([
      step,
      { kind: 'keys', keys: [{ name: 'x', action: 'type' }], written: 'x' },
    ]);
  });
});

describe('a < that is no tag', () => {
  it.each([
    ['sort < in > out', 'sort < in > out'],
    ['[ 1 <= 2 ]', '[ 1 <= 2 ]'],
    ['a <(b) <"c" <', 'a <(b) <"c" <'],
    ['cat <<EOF<enter>', 'cat <<EOF'],
    ['cat <<END >f<enter>', 'cat <<END >f'],
    ["cat <<-'END' >f<enter>", "cat <<-'END' >f"],
    ['cat <<EOF > /etc/issue<enter>', 'cat <<EOF > /etc/issue'],
  ])('%s', (text, typed) => {
    const literally = keysOf(typed.replaceAll('<', '<lt>'));
    expect(keysOf(text)).toEqual(text.endsWith('<enter>') ? [...literally, 'enter'] : literally);
  });
});

describe('what cannot be typed', () => {
  it.each([
    ['<entr>', 'no key is called <entr>; did you mean <enter>?'],
    ['<leftctlon>', 'no key is called <leftctlon>; did you mean <leftCtrlOn>?'],
    ['<f13>', 'no key is called <f13>; did you mean <f1>?'],
    ['<hypertext markup>', 'no key is called <hypertext markup>'],
    ['<wait5x>', '<wait5x>: 5x is not a time'],
    ['<wait0>', '<wait0>: 0 is no time at all'],
    ['<wait25h>', '<wait25h>: 25h is longer than a day'],
    ['<wait until it works>', '<wait until it works>: it is not one of the ways to wait'],
    [
      '<wait for text "" on the serial console>',
      '<wait for text "" on the serial console>: no text is on every console',
    ],
    ['<wait for text "x">', '<wait for text "x">: it is not one of the ways to wait'],
    [
      '<wait until screen is still for 9s 5s>',
      '<wait until screen is still for 9s 5s>: the screen has to be still for longer than it may take',
    ],
    ['<enter', 'a > is missing behind <enter'],
    ['<wait5<enter>', 'a > is missing behind <wait5'],
    ['mail <somebody', '<somebody begins a tag that has no >'],
    ['cat <<enterr>', 'no key is called <enterr>; did you mean <enter>?'],
    ['</enter>', '</enter> is not a tag; did you mean <enter>?'],
    ['< enter >', '< enter > is not a tag; did you mean <enter>?'],
    ['a\nb', 'a line break is no key'],
    ['a\tb', 'a tabulator is written <tab>'],
    ['\u0007', 'the layout us has no key for U+0007'],
    ['\u00a0', 'the layout us has no key for U+00A0'],
    ['<x\u001b[2J>', '<x begins a tag that has no >', 'the layout us has no key for U+001B'],
    ['<%\u001b%>', 'the layout us has no key for U+001B'],
    ['ä', 'the layout us has no key for "ä"'],
    ['<äOn>', 'the layout us has no key for "ä"'],
    ['x=<%= answers %>', 'nothing was filled in for <%= answers %>'],
  ])('%j', (text, ...messages) => {
    expect(problems([text]).map((problem) => problem.replace(/^keystrokes:1:\d+ /, ''))).toEqual(messages);
  });

  it('is told all at once, with its place, once each', () => {
    expect(problems(['ok<entr>', 'ä<wait5x>ää'])).toEqual([
      'keystrokes:1:3 no key is called <entr>; did you mean <enter>?',
      'keystrokes:2:1 the layout us has no key for "ä"',
      'keystrokes:2:2 <wait5x>: 5x is not a time',
    ]);
  });

  it('is told with the place that the caller knows', () => {
    const issueAt = (element: number, character: number, message: string) => ({
      file: 'a.yaml',
      line: element * 10,
      column: character,
      message,
    });
    expect(() => parseKeystrokes(['', '<nokey>'], { ...us, issueAt })).toThrow(
      expect.objectContaining({
        code: 'keystrokes-invalid',
        issues: [expect.objectContaining({ line: 20, column: 1 })],
      }),
    );
    expect(() => parseKeystrokes(['<nokey>'], { ...us, file: 'a.yaml' })).toThrow(
      expect.objectContaining({
        issues: [
          expect.objectContaining({ file: 'a.yaml', message: expect.stringMatching(/^keystrokes 1, character 1: /) }),
        ],
      }),
    );
  });

  it('names layouts that could', () => {
    expect(() => parseKeystrokes(['é'], us)).toThrow(
      expect.objectContaining({ issues: [expect.objectContaining({ hint: expect.stringContaining('fr') })] }),
    );
    expect(() => parseKeystrokes(['<^On>'], { layout: 'de' })).toThrow(
      expect.objectContaining({ issues: [expect.objectContaining({ message: expect.stringContaining('two keys') })] }),
    );
  });

  it('has an unknown layout answered with a known one', () => {
    expect(() => parseKeystrokes([''], { layout: 'ed' })).toThrow(
      expect.objectContaining({ code: 'layout-unknown', message: expect.stringContaining('did you mean "de"?') }),
    );
    expect(() => parseKeystrokes([''], { layout: 'toString' })).toThrow(/no keyboard layout/);
  });

  it('has an end', () => {
    expect(() => parseKeystrokes(['x'.repeat(40_000), 'y'.repeat(40_000)], us)).toThrow(/65536/);
    expect(problems(['<'.repeat(32_000)])).toEqual([]);
    expect(problems(['<wait for text "'.repeat(4000)])).toHaveLength(1);
    expect(keysOf('x'.repeat(65_536))).toHaveLength(65_536);
    const unknown = Array.from({ length: 3000 }, (_, index) => `<key ${index}>`);
    expect(problems(unknown)).toHaveLength(100);
  }, 20_000);
});

describe('elements', () => {
  it('follow each other without a pause, as in Packer, or with one, as in veewee', () => {
    expect(parseKeystrokes(['a<enter>', 'b'], us)).toEqual([
      {
        kind: 'keys',
        written: 'a<enter>b',
        keys: [
          { name: 'a', action: 'type' },
          { name: 'enter', action: 'type' },
          { name: 'b', action: 'type' },
        ],
      },
    ]);
    expect(
      parseKeystrokes(['a', '<Wait>', 'b'], { layout: 'us', pause: 500 }).map((step) =>
        step.kind === 'wait' ? step.milliseconds : step.kind,
      ),
    ).toEqual(['keys', 2000, 'keys', 500]);
  });

  it('are not changed when they are read', () => {
    const first = parseKeystrokes(['<leftCtrl>x'], us);
    expect(parseKeystrokes(['<leftCtrl>x'], us)).toEqual(first);
  });
});

describe('layouts', () => {
  it('decide which keys give a character', () => {
    expect(keysOf('y@', 'de')).toEqual(['z', 'right-alt+q']);
    expect(keysOf('~', 'fi')).toEqual(['right-alt+right-bracket', 'space']);
    expect(keysOf('e\u0301', 'be')).toEqual(['2']);
    expect(keysOf('<aOn><aOff>', 'fr')).toEqual(['q:down', 'q:up']);
  });

  it('leave tags alone', () => {
    expect(keysOf('<f1><leftCtrlOn>', 'fr')).toEqual(['f1', 'left-ctrl:down']);
  });
});

describe('outlineKeystrokes', () => {
  it('leaves values open, whatever their notation', () => {
    const texts = ['url=<%= answers %>/a http://%IP%:%PORT%/ {{ .HTTPIP }} {{user `x`}}<enter>'];
    const values = outlineKeystrokes(texts, us).flatMap((step) => (step.kind === 'value' ? [step.written] : []));
    expect(values).toEqual(['<%= answers %>', '%IP%', '%PORT%', '{{ .HTTPIP }}', '{{user `x`}}']);
  });

  it('finds the same problems as a build', () => {
    expect(() => outlineKeystrokes(['<%= answers %><entr>'], us)).toThrow(DefinitionError);
  });
});

it('types what looks like a value and is none any more', () => {
  expect(keysOf('%IP%')).toEqual(keysOf('<lt>%IP%').slice(1));
  expect(keysOf('{{ x }}')).toHaveLength(7);
});
