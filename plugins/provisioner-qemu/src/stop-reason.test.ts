import { describe, expect, it } from 'vitest';
import { reasonOfExit, reasonOfHalt, startError } from './stop-reason.js';

describe('why a machine stopped', () => {
  it.each([
    ['guest-shutdown', false, 'off'],
    ['guest-shutdown', true, 'off'],
    ['guest-reset', false, 'restarted'],
    ['host-qmp-quit', true, 'ended'],
    ['host-signal', false, 'died'],
    ['host-ui', false, 'died'],
    [undefined, false, 'died'],
    [undefined, true, 'ended'],
  ] as const)('%s, asked %s: %s', (shutdown, asked, kind) => {
    expect(reasonOfExit({ shutdown, status: 'exit code 0', words: '' }, asked).kind).toBe(kind);
  });

  it('has words for a machine that was killed without any', () => {
    expect(reasonOfExit({ shutdown: undefined, status: 'SIGKILL', words: '' }, false).words).toBe(
      'QEMU ended (SIGKILL)',
    );
  });

  it('says why it was halted', () => {
    expect(reasonOfHalt({ status: 'io-error', words: 'write on disk: No space left on device' })).toEqual({
      kind: 'halted',
      words: 'io-error: write on disk: No space left on device',
    });
  });
});

it.each([
  ['Failed to get "write" lock\nIs another process using the image [/d.raw]?', 'qemu-disk-in-use'],
  ["cannot set up guest memory 'pc.ram': Cannot allocate memory", 'qemu-memory'],
  ["-device foo: 'foo' is not a valid device model name", 'qemu-start-failed'],
  ['', 'qemu-start-failed'],
])('a start that fails with %j is %s', (words, code) => {
  expect(startError('a', '/d.raw', { shutdown: undefined, status: 'exit code 1', words }).code).toBe(code);
});
