import { describe, expect, it } from 'vitest';
import { ConsoleText } from './console.js';

const text =
  '\x1b[2J\x1b[H\x1b[1;32mDebian\x1b[0m GNU/Linux 12 g\x1b[Kuest tty\x1b(BS0\r\n\x1b]0;title\x07\r\nguest log\x1b[?25hin: ';

describe('ConsoleText', () => {
  it('matches across escape sequences, wherever the bytes are cut', () => {
    const bytes = Buffer.from(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const console = new ConsoleText();
      console.push(bytes.subarray(0, cut));
      console.push(bytes.subarray(cut));
      expect(console.lineMatching(/^guest login: $/m), `cut at ${cut}`).toBe('guest login:');
      expect(console.tail(2)).toEqual(['Debian GNU/Linux 12 guest ttyS0', 'guest login:']);
    }
  });

  it('takes one byte at a time, of characters that have several', () => {
    const console = new ConsoleText();
    for (const byte of Buffer.from('grüß Gott login:')) console.push(Buffer.of(byte));
    expect(console.lineMatching(/login:/)).toBe('grüß Gott login:');
  });

  it('remembers nothing between calls of an expression with a position', () => {
    const console = new ConsoleText();
    const expression = /login:/g;
    console.push(Buffer.from('login:'));
    expect(console.lineMatching(expression)).toBe('login:');
    expect(console.lineMatching(expression)).toBe('login:');
  });

  it('finds a text again only behind where it ended, also when much was forgotten since', () => {
    const console = new ConsoleText();
    console.push(Buffer.from('first login: '));
    const end = console.endOf('login:');
    expect(end).toBe(12);
    expect(console.endOf('login:', end)).toBeUndefined();
    console.push(Buffer.from('x'.repeat(100_000)));
    expect(console.endOf('login:', end)).toBeUndefined();
    console.push(Buffer.from('log'));
    console.push(Buffer.from('in:'));
    expect(console.endOf('login:', end)).toBe(13 + 100_000 + 6);
  });

  it('keeps a bounded part of what a guest writes without end, an escape that never ends included', () => {
    const console = new ConsoleText();
    console.push(Buffer.from('\x1b]0;'));
    for (let n = 0; n < 100; n++) console.push(Buffer.from('x'.repeat(100_000)));
    expect(console.tail(1)[0]?.length).toBeLessThanOrEqual(64 * 1024);
  });
});
