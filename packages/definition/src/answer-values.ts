import { BUILD_VALUES } from '@polyvisor/core';
import type { SourceContext } from './source-context.js';
import { MIRROR_VARIABLE } from './variables.js';

/** Parts of the mirror's address, which installers want one by one. Derived unless the definition declares such a variable. */
const DERIVED = ['mirror-protocol', 'mirror-host', 'mirror-directory', 'mirror-proxy'] as const;

/**
 * What an answer file may name besides the values of the build: variables that have a value and, where it asks for them, the
 * mirror and its parts. The mirror is the one that was given, else the one that this machine's own apt uses.
 */
export async function templateValues(
  names: ReadonlySet<string>,
  context: SourceContext,
): Promise<Readonly<Record<string, string>>> {
  const values: Record<string, string> = {};
  for (const [name, { value }] of context.variables) {
    if (value !== undefined && !(BUILD_VALUES as readonly string[]).includes(name)) values[name] = value;
  }
  if (![MIRROR_VARIABLE, ...DERIVED].some((name) => names.has(name) && !Object.hasOwn(values, name))) return values;
  const given = values[MIRROR_VARIABLE] ?? '';
  const machine = await context.machineArchive();
  const mirror = given === '' ? machine.mirror : given;
  return {
    ...partsOf(mirror, machine.proxy ?? ''),
    ...values,
    ...(mirror === undefined ? {} : { [MIRROR_VARIABLE]: mirror }),
  };
}

function partsOf(mirror: string | undefined, proxy: string): Record<string, string> {
  if (mirror === undefined || !URL.canParse(mirror)) return {};
  const url = new URL(mirror);
  return {
    'mirror-protocol': url.protocol.replace(':', ''),
    'mirror-host': url.host,
    'mirror-directory': url.pathname.replace(/\/+$/, '') || '/',
    'mirror-proxy': proxy,
  };
}
