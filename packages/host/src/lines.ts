import { StringDecoder } from 'node:string_decoder';

/** Longest line passed on in one piece, in characters: a command that never ends its line must not fill the memory. */
const LONGEST = 64 * 1024;

/** Cuts output into lines as it comes. Line ends (`\n` and `\r\n`) are removed; `end` passes on an unfinished line. */
export function lineSplitter(onLine: (line: string) => void): { push(bytes: Uint8Array): void; end(): void } {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const take = (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
    while (rest.length > LONGEST) {
      onLine(rest.slice(0, LONGEST));
      rest = rest.slice(LONGEST);
    }
  };
  return {
    push: (bytes) => take(decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))),
    end: () => {
      take(decoder.end());
      if (rest !== '') onLine(rest);
      rest = '';
    },
  };
}

/** The last `limit` bytes of a stream. */
export function tailOf(limit: number): { push(bytes: Uint8Array): void; text(): string } {
  const parts: Uint8Array[] = [];
  let length = 0;
  return {
    push: (bytes) => {
      parts.push(bytes);
      length += bytes.length;
      while (length - (parts[0]?.length ?? 0) >= limit) length -= parts.shift()?.length ?? 0;
    },
    text: () => Buffer.concat(parts).subarray(-limit).toString('utf8'),
  };
}
