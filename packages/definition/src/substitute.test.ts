import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { environmentName, escapeText, substitute, VARIABLE_NAME } from './substitute.js';

const values = new Map([
  ['a', '1'],
  ['b', '${a}'],
  ['with-hyphen', 'h'],
  ['empty', ''],
]);
const replace = (text: string) => substitute(text, (name) => values.get(name));

describe('substitute', () => {
  it.each([
    ['${a}', '1'],
    ['x${a}y${a}', 'x1y1'],
    ['${with-hyphen}', 'h'],
    ['[${empty}]', '[]'],
    ['$a $ $$ {a} $}', '$a $ $$ {a} $}'],
    ['$${a}', '${a}'],
    ['$$${a}', '$${a}'],
    ['$${a}${a}', '${a}1'],
    ['$${', '${'],
    ['', ''],
  ])('makes %j into %j', (text, expected) => {
    expect(replace(text)).toEqual({ text: expected, problems: [] });
  });

  it('does not look into values again', () => {
    expect(replace('${b}').text).toBe('${a}');
  });

  it('reports names without a value, each time', () => {
    expect(replace('${x} ${y} ${x}').problems).toEqual([{ name: 'x' }, { name: 'y' }, { name: 'x' }]);
  });

  it.each(['${}', '${ a}', '${1a}', '${a.b}', '${a', '${a\n}', '${a${a}}', '${a:-b}'])('reports %j', (text) => {
    expect(replace(text).problems[0]).toHaveProperty('malformed');
  });

  it('gives back what was escaped', () => {
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom('$', '{', '}', 'a', '${a}', '$${')).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (any) => {
        expect(replace(escapeText(any))).toEqual({ text: any, problems: [] });
      }),
    );
  });

  it('puts every value in as it is, between what was escaped', () => {
    const part = fc.string();
    fc.assert(
      fc.property(part, part, part, (before, value, after) => {
        // A dollar right before would escape the variable: that is what it is for.
        fc.pre(!before.endsWith('$'));
        const text = `${escapeText(before)}\${v}${escapeText(after)}`;
        expect(substitute(text, () => value)).toEqual({ text: `${before}${value}${after}`, problems: [] });
      }),
    );
  });

  it('grows no faster than its values', () => {
    const text = '${v}'.repeat(1000);
    expect(substitute(text, () => '${v}${v}').text).toHaveLength(8000);
  });
});

describe('the names of variables', () => {
  it('are safe in environments', () => {
    const name = fc.stringMatching(VARIABLE_NAME);
    fc.assert(
      fc.property(name, (any) => {
        expect(environmentName(any)).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
      }),
    );
  });
});
