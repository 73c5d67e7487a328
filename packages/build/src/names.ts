import type { ApplianceFacts, DiskConverter } from '@polyvisor/core';

/** What all files of an appliance are named after: `debian-12-1.0-x86_64`. */
export function applianceStem({
  name,
  version,
  architecture,
}: Pick<ApplianceFacts, 'name' | 'version' | 'architecture'>): string {
  return `${name}-${version}-${architecture}`;
}

/** A name for each artefact, in order. A format that is exported twice, with other options, gets a number from the second on. */
export function artifactNames(
  stem: string,
  converters: readonly Pick<DiskConverter, 'id' | 'extension'>[],
): readonly string[] {
  const seen = new Map<string, number>();
  return converters.map(({ id, extension }) => {
    const count = (seen.get(id) ?? 0) + 1;
    seen.set(id, count);
    return `${stem}-${id}${count === 1 ? '' : `-${count}`}${extension}`;
  });
}
