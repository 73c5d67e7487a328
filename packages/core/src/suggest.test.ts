import { describe, expect, it } from 'vitest';
import { didYouMean, suggest } from './suggest.js';

const keys = ['name', 'version', 'packages', 'kernel-arguments', 'ssh-keys', 'to', 'from'];

describe('suggest', () => {
  it.each([
    ['pakages', 'packages'],
    ['packagse', 'packages'],
    ['Packages', 'packages'],
    ['kernelArguments', 'kernel-arguments'],
    ['kernel_arguments', 'kernel-arguments'],
    ['sshkeys', 'ssh-keys'],
    ['nmae', 'name'],
    ['form', 'from'],
    ['t', 'to'],
  ])('takes %s for %s', (word, expected) => {
    expect(suggest(word, keys)).toBe(expected);
  });

  it.each(['colour', 'xyz', '', 'q'.repeat(10_000)])('does not guess at %j', (word) => {
    expect(
      suggest(
        word,
        keys.filter((key) => key.length > 2),
      ),
    ).toBeUndefined();
  });

  it('reads well at the end of a message', () => {
    expect(`unknown key "vesion"${didYouMean('vesion', keys)}`).toBe('unknown key "vesion"; did you mean "version"?');
    expect(didYouMean('colour', keys)).toBe('');
  });
});
