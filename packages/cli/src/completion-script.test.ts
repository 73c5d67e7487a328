import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionScript, type CompletionModel } from './completion-script.js';

const option = (flag: string, takesValue: boolean) => ({ flag, takesValue, description: `what's [it]: for` });
const model: CompletionModel = {
  commands: [
    { name: 'convert', summary: "convert one's disk", options: [option('--to', true), option('--force', false)] },
    { name: 'plugins', summary: 'list', options: [] },
    { name: 'check', summary: 'check', options: [option('--for', true)] },
  ],
  options: [option('--json', false)],
  formats: ['raw', 'xen-vhd'],
  provisioners: [],
  booters: [],
  consumers: ['azure', 'hyperv'],
};

function complete(words: readonly string[]): string[] {
  const script = `${completionScript('bash', model)}
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
    _polyvisor; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout.trim().split('\n');
}

describe('completionScript', () => {
  it.each([
    [['polyvisor', 'co'], ['convert']],
    [['polyvisor', '--j'], ['--json']],
    [
      ['polyvisor', 'convert', '--'],
      ['--to', '--force', '--json'],
    ],
    [
      ['polyvisor', 'convert', '--to', ''],
      ['raw', 'xen-vhd'],
    ],
    [['polyvisor', '--json', 'convert', 'x', '--to', 'x'], ['xen-vhd']],
    [['polyvisor', 'check', 'x', '--for', 'a'], ['azure']],
  ])('completes %j in bash', (words, expected) => expect(complete(words)).toEqual(expected));

  it('knows the commands, options and formats in zsh and fish', () => {
    for (const shell of ['zsh', 'fish']) {
      const script = completionScript(shell, model);
      for (const word of ['convert', 'plugins', 'force', 'json', 'raw xen-vhd']) expect(script).toContain(word);
    }
    expect(completionScript('fish', model)).toContain(`-d 'what\\'s [it]: for'`);
    expect(completionScript('zsh', model)).toContain(`[what'\\''s \\[it\\]\\: for]`);
  });

  it('says which shells there are', () => {
    expect(() => completionScript('csh', model)).toThrow('csh');
  });
});
