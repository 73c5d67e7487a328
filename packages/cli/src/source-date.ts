import { DefinitionError } from '@polyvisor/core';

/** 9999-12-31T23:59:59Z, the last second that every format can write down or clamp. */
const LATEST = 253_402_300_799;

/**
 * `SOURCE_DATE_EPOCH` (reproducible-builds.org/specs/source-date-epoch): seconds since the Unix epoch for every time
 * that an output stores. Undefined when it is not set.
 */
export function sourceDate(env: NodeJS.ProcessEnv): number | undefined {
  const text = env['SOURCE_DATE_EPOCH'];
  if (text === undefined || text === '') return undefined;
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds <= LATEST) return seconds;
  throw new DefinitionError(
    'source-date-invalid',
    `SOURCE_DATE_EPOCH is ${JSON.stringify(text)}, wanted are whole seconds since 1970`,
    {
      hint: 'for example: export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)',
    },
  );
}
