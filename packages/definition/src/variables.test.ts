import { DefinitionError } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { parseVariables } from './variables.js';

describe('parseVariables', () => {
  it('splits at the first "="; the last of a name wins', () => {
    expect(parseVariables(['a=1', 'b=x=y', 'empty=', 'a=2', 'ssh-key=k'])).toEqual({
      a: '2',
      b: 'x=y',
      empty: '',
      'ssh-key': 'k',
    });
  });

  it('reports all that are wrong, without showing values', () => {
    const parse = () => parseVariables(['ok=1', 'nothing', '1a=secret', '=secret', '__proto__=x']);
    expect(parse).toThrow(DefinitionError);
    try {
      parse();
    } catch (error) {
      expect((error as DefinitionError).issues.map((issue) => issue.message)).toEqual([
        '"nothing" is not name=value',
        '"1a" is not name=value',
        '"" is not name=value',
      ]);
      expect(JSON.stringify(error)).not.toContain('secret');
    }
  });

  it('takes no name for a property of JavaScript', () => {
    const values = parseVariables(['__proto__=x', 'toString=y']);
    expect(Object.entries(values)).toEqual([
      ['__proto__', 'x'],
      ['toString', 'y'],
    ]);
  });
});
