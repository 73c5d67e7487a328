import { DefinitionError } from '@polyvisor/core';

/** Longest name of an answer file, in bytes of UTF-8; file systems and ISO 9660 take no more of one part. */
const LONGEST_PART = 200;
const LONGEST = 1000;

/** Throws `answer-name-invalid` unless the name is a plain relative path: parts between single slashes, none `.` or `..`. */
export function checkAnswerName(name: string): void {
  const problem = problemOf(name);
  if (problem !== undefined)
    throw new DefinitionError(
      'answer-name-invalid',
      `an answer file cannot be called ${JSON.stringify(name)}: ${problem}`,
      {
        hint: 'give a relative path such as `preseed.cfg` or `debian/preseed.cfg`',
      },
    );
}

function problemOf(name: string): string | undefined {
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x1f\x7f\\]/.test(name)) return 'control characters and backslashes are not taken';
  if (Buffer.from(name).toString() !== name) return 'it is not valid Unicode';
  if (Buffer.byteLength(name) > LONGEST) return `it has more than ${LONGEST} bytes`;
  const parts = name.split('/');
  if (parts.includes('')) return 'it begins or ends with a slash, or has an empty part';
  if (parts.includes('.') || parts.includes('..')) return '`.` and `..` lead elsewhere';
  if (parts.some((part) => Buffer.byteLength(part) > LONGEST_PART)) return `a part has more than ${LONGEST_PART} bytes`;
  return undefined;
}
