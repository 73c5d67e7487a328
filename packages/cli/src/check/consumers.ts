import { DefinitionError, didYouMean, type DiskConverter } from '@polyvisor/core';

/** Everybody whom a loaded converter names as loading its format, sorted. */
export function knownConsumers(converters: readonly DiskConverter[]): readonly string[] {
  return [...new Set(converters.flatMap(({ capabilities }) => capabilities.consumers ?? []))].sort();
}

export function expectConsumer(consumer: string, converters: readonly DiskConverter[]): void {
  const known = knownConsumers(converters);
  if (known.includes(consumer)) return;
  throw new DefinitionError(
    'consumer-unknown',
    `no loaded format is for ${JSON.stringify(consumer)}${didYouMean(consumer, known)}`,
    { hint: known.length === 0 ? 'no loaded plugin names any' : `known: ${known.join(', ')}` },
  );
}

/** Whether a consumer loads the images of a converter; undefined where nobody says. */
export function loads(consumer: string, { capabilities }: DiskConverter): boolean | undefined {
  return capabilities.consumers?.includes(consumer);
}

/** Names of the formats that a consumer loads. */
export function formatsFor(consumer: string, converters: readonly DiskConverter[]): readonly string[] {
  return converters.filter((converter) => loads(consumer, converter) === true).map(({ id }) => id);
}
