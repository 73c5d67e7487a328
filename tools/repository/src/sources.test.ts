import { describe, expect, it } from 'vitest';
import { filesBelow, isTest, readText } from './repository.js';

const code = filesBelow('.').filter((path) => /\.(ts|mjs|js|sh|ya?ml)$/.test(path));

/** This file has to name what it looks for. */
const others = code.filter((path) => path !== 'tools/repository/src/sources.test.ts');

function containing(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

describe('the sources', () => {
  it('leave nothing to be done later', () => {
    expect(containing(others, /\b(TODO|FIXME|XXX|HACK)\b|not implemented/i)).toEqual([]);
  });

  it('skip no test and run none alone', () => {
    const pattern = /\b(it|test|describe|suite)(\.\w+)*\.(skip|only|todo|fails)\b/;
    expect(containing(others.filter(isTest), pattern)).toEqual([]);
  });

  it('name files in kebab-case', () => {
    const names = code.filter((path) => /\/src\/.*\.ts$/.test(path)).map((path) => path.split('/').pop() ?? '');
    expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z-]+)*\.ts$/.test(name))).toEqual([]);
  });
});
