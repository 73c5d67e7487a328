/** Shorter values would blot out parts of ordinary words, and hide nothing that could not be guessed at once. */
export const SHORTEST_SECRET = 3;

const MASK = '***';

/**
 * Makes a function that replaces every secret in a text by `***`: as it is, and as base64, URL, JSON and shell write it. Made for
 * one line at a time, as logs have them; of a secret of several lines each line that is long enough is hidden on its own.
 */
export function createRedactor(secrets: Iterable<string>): (text: string) => string {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < SHORTEST_SECRET) continue;
    for (const form of formsOf(secret)) if (form.length >= SHORTEST_SECRET) forms.add(form);
  }
  if (forms.size === 0) return (text) => text;
  // The longest first, so that a secret which is part of another does not leave the rest of it readable.
  const longestFirst = [...forms].sort((left, right) => right.length - left.length);
  const pattern = new RegExp(longestFirst.map(escapePattern).join('|'), 'g');
  return (text) => text.replaceAll(pattern, MASK);
}

/** `createRedactor` for a single text. */
export function redact(text: string, secrets: Iterable<string>): string {
  return createRedactor(secrets)(text);
}

function* formsOf(secret: string): Generator<string> {
  yield secret;
  // A lone half of a surrogate pair has no URL form.
  yield encodeURIComponent(secret.replaceAll(/\p{Surrogate}/gu, '\uFFFD'));
  yield new URLSearchParams([['', secret]]).toString().slice(1);
  yield JSON.stringify(secret).slice(1, -1);
  yield secret.replaceAll("'", `'\\''`);
  yield* base64Forms(secret);
  const lines = secret.split(/\r?\n/).map((line) => line.trim());
  // The first and last lines of a key in PEM are the same in every key; hiding them would only confuse.
  if (lines.length > 1) yield* lines.filter((line) => line.length >= 8 && !/^-----.*-----$/.test(line));
}

/**
 * Base64 of the secret alone, and what base64 of any longer text that contains it shows of it: three characters stand for
 * whole bytes at each of three alignments; the characters at both ends mix with the neighbours and are left out.
 */
function* base64Forms(secret: string): Generator<string> {
  const bytes = Buffer.from(secret);
  if (bytes.length < 6) return;
  yield bytes.toString('base64');
  for (const alignment of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(alignment), bytes])
      .toString('base64')
      .replaceAll('=', '');
    const head = [0, 2, 3][alignment] ?? 0;
    const tail = (alignment + bytes.length) % 3 === 0 ? 0 : 1;
    const inner = padded.slice(head, padded.length - tail);
    yield inner;
    yield inner.replaceAll('+', '-').replaceAll('/', '_');
  }
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
