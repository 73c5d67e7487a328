import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRedactor, redact, SHORTEST_SECRET } from './redact.js';

describe('redact', () => {
  it('hides every occurrence', () => {
    expect(redact('a hunter2 b hunter2', ['hunter2'])).toBe('a *** b ***');
  });

  it('hides a secret that contains another one whole', () => {
    expect(redact('token-extended token', ['token', 'token-extended'])).toBe('*** ***');
  });

  it('leaves texts alone when there is nothing to hide, or it is too short', () => {
    expect(redact('a b ab', [])).toBe('a b ab');
    expect(redact('a b ab', ['a', 'ab', ''])).toBe('a b ab');
  });

  it('takes secrets literally', () => {
    expect(redact('x.*y xaay (a|b) $& \\d', ['x.*y', '(a|b)', '$&\\', '\\d'.repeat(2)])).toBe('*** xaay *** $& \\d');
  });

  it.each([
    ['base64', (secret: string) => Buffer.from(secret).toString('base64')],
    ['base64 in a URL', (secret: string) => Buffer.from(secret).toString('base64url')],
    ['a URL', (secret: string) => encodeURIComponent(secret)],
    ['a form', (secret: string) => new URLSearchParams({ p: secret }).toString()],
    ['JSON', (secret: string) => JSON.stringify({ p: secret })],
    ['a quoted word of a shell', (secret: string) => `'${secret.replaceAll("'", `'\\''`)}'`],
  ])('hides what %s makes of a secret', (_what, encode) => {
    const secret = `p@ss "w'ö/rd+?>\\`;
    const encoded = encode(secret);
    const shown = redact(encoded, [secret]);
    expect(shown).toContain('***');
    // At most what the alphabets have in common with any text is left: the ends of base64 and the names around.
    expect(shown.replace('***', '').length).toBeLessThanOrEqual(encoded.length - secret.length + 2);
    expect(shown).not.toMatch(/w'|rd/);
  });

  it('hides a secret inside of longer text in base64', () => {
    for (const user of ['', 'u', 'us', 'use', 'user']) {
      const header = Buffer.from(`${user}:correct-horse-battery:tail`).toString('base64');
      const shown = redact(header, ['correct-horse-battery']);
      expect(shown).toContain('***');
      expect(Buffer.from(shown.replace('***', ''), 'base64').toString()).not.toContain('horse');
    }
  });

  it('hides a secret of several lines line by line', () => {
    const key = '-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\nend\n-----END KEY-----\n';
    const hide = createRedactor([key]);
    expect(key.split('\n').map(hide)).toEqual(['-----BEGIN KEY-----', '***', '***', 'end', '-----END KEY-----', '']);
    expect(hide(`[${key}]`)).toBe('[***]');
  });

  it('never leaves a secret in any text', () => {
    const secrets = fc.array(
      fc.string({ minLength: SHORTEST_SECRET, maxLength: 12 }).filter((each) => !'***'.includes(each)),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(secrets, fc.string(), fc.string(), (all, before, after) => {
        const shown = redact(`${before}${all.join('')}${after}`, all);
        for (const secret of all) {
          // What is new in the text was made by taking something out between two stars.
          expect(shown.split('***').some((piece) => piece.includes(secret))).toBe(false);
        }
      }),
    );
  });

  it('is quick on long lines and many secrets', () => {
    const hide = createRedactor(Array.from({ length: 200 }, (_, index) => `secret-number-${index}`));
    const started = performance.now();
    hide('secret-number-'.repeat(50_000));
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
