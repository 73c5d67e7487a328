import { type Booter, EnvironmentError, type Provisioner } from '@polyvisor/core';

/** The first that works here; when none does the first, whose own probe then says best what is missing. */
export async function firstUsable<T extends Provisioner | Booter>(
  candidates: readonly T[],
  signal: AbortSignal,
): Promise<T | undefined> {
  for (const one of candidates) if ((await one.probe(signal)).usable) return one;
  return candidates[0];
}

/** The error for a host without a single one. */
export function nothingLoaded(kind: 'provisioner' | 'booter' | 'format'): EnvironmentError {
  return new EnvironmentError(`${kind}-missing`, `no plugin that is loaded brings a ${kind}`, {
    hint: 'load one with --plugin, or install polyvisor again, which brings the official ones',
  });
}
