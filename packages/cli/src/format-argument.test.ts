import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFormatArgument, parseOptionList } from './format-argument.js';

describe('parseFormatArgument', () => {
  it.each([
    ['qcow2', [{ format: 'qcow2', options: {} }]],
    ['qcow2,xen-vhd, ova', [{ format: 'qcow2' }, { format: 'xen-vhd' }, { format: 'ova' }]],
    ['qcow2:a=true,b=false,c=12,d=-1.5,e=64k', [{ options: { a: true, b: false, c: 12, d: -1.5, e: '64k' } }]],
    ['ova:name="a,b=c:d"', [{ options: { name: 'a,b=c:d' } }]],
    [`ova:name='it"s'`, [{ options: { name: 'it"s' } }]],
    ['ova:name=a\\,b\\=c\\\\', [{ options: { name: 'a,b=c\\' } }]],
    ['ova:version="12",flag=\\true', [{ options: { version: '12', flag: 'true' } }]],
    ['ova:network=a,network=b', [{ options: { network: ['a', 'b'] } }]],
    ['ova:network=""', [{ options: { network: '' } }]],
    ['ova:url=http://x/?a=b', [{ options: { url: 'http://x/?a=b' } }]],
    ['qcow2:compat=0.10,other=1.5', [{ options: { compat: '0.10', other: 1.5 } }]],
    ['x:id=007', [{ options: { id: '007' } }]],
    ['x:id=99999999999999999999', [{ options: { id: '99999999999999999999' } }]],
  ])('understands %s', (text, expected) => {
    expect(parseFormatArgument(text)).toMatchObject(expected);
  });

  it.each([
    ['', 'no name of a format'],
    ['Qcow2', 'no name of a format'],
    ['qcow2,', 'no name of a format'],
    ['qcow2:', 'has no value'],
    ['qcow2:compress', 'compress=true'],
    ['qcow2:a=1,xen-vhd', 'has no value'],
    ['qcow2:=1', 'no name of an option'],
    ['qcow2:__proto__=1', 'no name of an option'],
    ['qcow2:a="x', 'never closed'],
    ['qcow2:a=x\\', 'escapes nothing'],
  ])('refuses %j', (text, part) => {
    let error: unknown;
    try {
      parseFormatArgument(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'format-argument-invalid' });
    const { message, hint } = error as { message: string; hint: string };
    expect(`${message} ${hint}`).toContain(part);
    expect(message).toContain(JSON.stringify(text).slice(1, -1).replaceAll('\\\\', '\\').replaceAll('\\"', '"'));
  });

  const key = fc.stringMatching(/^[A-Za-z][\w.-]{0,10}$/);

  it('gives back any text that was quoted or escaped', () => {
    const escaped = (text: string) => [...text].map((character) => `\\${character}`).join('');
    const quoted = (text: string) => `"${text.replaceAll(/[\\"]/g, '\\$&')}"`;
    fc.assert(
      fc.property(fc.uniqueArray(key), fc.array(fc.string({ unit: 'binary' })), fc.boolean(), (keys, values, quote) => {
        const options = Object.fromEntries(keys.map((name, index) => [name, values[index] ?? '']));
        const form = (value: string) => (quote || value === '' ? quoted(value) : escaped(value));
        const list = Object.entries(options).map(([name, value]) => `${name}=${form(value)}`);
        fc.pre(list.length > 0);
        expect(parseFormatArgument(`some-format:${list.join(',')}`)).toEqual([{ format: 'some-format', options }]);
      }),
    );
  });

  it('types plain numbers and booleans, and never throws anything but its own error', () => {
    fc.assert(
      fc.property(key, fc.oneof(fc.boolean(), fc.integer()), (name, value) => {
        expect(parseOptionList(`${name}=${value}`)).toEqual({ [name]: value });
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab:=,"\'\\ 1') }), (text) => {
        try {
          for (const { options } of parseFormatArgument(text)) expect(typeof options).toBe('object');
        } catch (error) {
          expect(error).toMatchObject({ code: 'format-argument-invalid' });
        }
      }),
      { numRuns: 1000 },
    );
  });
});
