import { DefinitionError } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { expandValues } from './expand-values.js';

const where = { file: '/d/preseed.cfg' };

function issuesOf(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof DefinitionError) return { code: error.code, issues: error.issues };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('expandValues', () => {
  it('puts values in as they are, and never looks into them', () => {
    const values = { 'a-b': `<&>"'$1$& <%= name %> <%%`, name: 'n', _x: '' };
    expect(expandValues('1<%= a-b %>2<%=name%>3<%=   _x\n%>4', values, where)).toBe(`1<&>"'$1$& <%= name %> <%%2n34`);
  });

  it('leaves a literal mark where one is written', () => {
    expect(expandValues('<%%= name %> 100% %> <% %>'.replace('<% %>', '<%%'), { name: 'n' }, where)).toBe(
      '<%= name %> 100% %> <%',
    );
  });

  it('tells all problems of a text with their places', () => {
    const text = 'ok <%= hostname %>\n  <%= hostnam %>\nä <% if x %>\n<%= a.b() %> <%= nope %>\n<%= open';
    const { code, issues } = issuesOf(() => expandValues(text, { hostname: 'h', 'ssh-key': 'k' }, where));
    expect(code).toBe('template-invalid');
    expect(issues.map(({ file, line, column }) => `${file}:${line}:${column}`)).toEqual([
      '/d/preseed.cfg:2:3',
      '/d/preseed.cfg:3:3',
      '/d/preseed.cfg:4:1',
      '/d/preseed.cfg:4:14',
      '/d/preseed.cfg:5:1',
    ]);
    expect(issues[0]?.message).toContain('did you mean "hostname"?');
    expect(issues[1]?.message).toContain('code, which is never run');
    expect(issues[3]?.hint).toContain('hostname, ssh-key');
  });

  it('counts from where the text lies in its file', () => {
    const { issues } = issuesOf(() => expandValues('x <%= y %>\n<%= z %>', {}, { file: 'f', line: 7, column: 5 }));
    expect(issues.map(({ line, column }) => [line, column])).toEqual([
      [7, 7],
      [8, 1],
    ]);
  });

  it('takes no name of the language for a value', () => {
    for (const name of ['constructor', '__proto__', 'toString'])
      expect(issuesOf(() => expandValues(`<%= ${name} %>`, {}, where)).issues).toHaveLength(1);
  });

  it('is quick with a text of nothing but marks', () => {
    const text = '<%= a %>'.repeat(100_000);
    expect(expandValues(text, { a: 'b' }, where)).toBe('b'.repeat(100_000));
    expect(issuesOf(() => expandValues('<%'.repeat(500_000), {}, where)).issues.length).toBeLessThanOrEqual(100);
  });
});
