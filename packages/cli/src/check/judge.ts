import { errorKind, type Finding, type FormatError } from '@polyvisor/core';

/** What a finding means to the one who asked. Only errors make the answer a no. */
export type Level = 'error' | 'warning' | 'note';

/** Without a consumer the severity counts as it is. For one, only what it refuses is an error, whatever the format's text says. */
export function levelOf({ severity, refusedBy }: Finding, consumer: string | undefined): Level {
  if (consumer === undefined) return severity;
  if (refusedBy.includes(consumer)) return 'error';
  return severity === 'error' ? 'warning' : 'note';
}

/** An image that a reader gives up on is refused by everybody. */
export function findingOf(error: FormatError, consumers: readonly string[]): Finding {
  const { code, hint, offset, expected, found } = error;
  return {
    rule: code,
    severity: 'error',
    message: bareMessage(error),
    refusedBy: consumers,
    ...(offset === undefined ? {} : { offset }),
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(hint === undefined ? {} : { hint }),
  };
}

/** The error as a finding, or thrown again when it says nothing about the image. */
export function findingOrThrow(error: unknown, consumers: readonly string[]): Finding {
  if (errorKind(error) === 'format') return findingOf(error as FormatError, consumers);
  throw error;
}

/** The message without the place before it and the facts behind it, which a finding has in fields of its own. */
function bareMessage({ message, file, offset, expected, found }: FormatError): string {
  const place = [file, offset === undefined ? undefined : `offset ${offset}`].filter(Boolean).join(', ');
  const facts = [
    expected === undefined ? undefined : `expected ${expected}`,
    found === undefined ? undefined : `found ${found}`,
  ].filter(Boolean);
  const end = facts.length === 0 ? '' : ` (${facts.join(', ')})`;
  const from = place !== '' && message.startsWith(`${place}: `) ? place.length + 2 : 0;
  return message.slice(from, end !== '' && message.endsWith(end) ? message.length - end.length : undefined);
}
