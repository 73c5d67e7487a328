import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Appliance, DefinitionError, type Provisioner, type Source } from '@polyvisor/core';
import { type Definition, sourceImage } from '@polyvisor/definition';
import { sourceText } from './source-text.js';

/** A source that is not used, and why. */
export interface PassedOver {
  readonly source: Source;
  /** Position in the definition, from 0. */
  readonly index: number;
  readonly reason: string;
}

export interface SourceChoice {
  /** Absent when none can be used. */
  readonly chosen?: { readonly source: Source; readonly index: number };
  /** Those before the chosen one. */
  readonly passedOver: readonly PassedOver[];
}

type Server = Pick<Provisioner, 'id' | 'capabilities' | 'refusal'>;

/** The first source, in the definition's order, that a provisioner can start from and whose files are there. */
export async function chooseSource(
  sources: readonly Source[],
  provisioner: Server,
  appliance: Appliance,
): Promise<SourceChoice> {
  const passedOver: PassedOver[] = [];
  for (const [index, source] of sources.entries()) {
    const reason = refusal(source, provisioner, appliance) ?? (await absence(source));
    if (reason === undefined) return { chosen: { source, index }, passedOver };
    passedOver.push({ source, index, reason });
  }
  return { passedOver };
}

/** The error for a definition none of whose sources can be used. */
export function noSource(
  definition: Definition,
  provisioner: string,
  passedOver: readonly PassedOver[],
): DefinitionError {
  return new DefinitionError(
    'source-unusable',
    passedOver.length === 1
      ? `${definition.file}: the provisioner ${provisioner} cannot start from the definition's source`
      : `${definition.file}: the provisioner ${provisioner} can start from none of the definition's sources`,
    {
      hint: 'choose another provisioner with --provisioner (`polyvisor plugins` lists what each can start from), or give what is missing',
      issues: passedOver.map(({ source, index, reason }) =>
        definition.issueAt(
          ['source', ...(definition.sources.length === 1 ? [] : [index])],
          `${sourceText(source)}: ${reason}`,
        ),
      ),
    },
  );
}

function refusal(source: Source, provisioner: Server, appliance: Appliance): string | undefined {
  const { sources } = provisioner.capabilities;
  if (!sources.includes(source.kind))
    return `the provisioner ${provisioner.id} starts from ${sources.join(', ')}, not from ${source.kind}`;
  return provisioner.refusal?.(source, { ...appliance, source });
}

/** Why a source cannot be used here, whoever tries. What has an address may be fetched, or be in the cache. */
async function absence(source: Source): Promise<string | undefined> {
  if (source.kind === 'installer' && source.medium.kind === 'netboot') {
    const { directory, kernel, initrd } = source.medium;
    const missing = [];
    for (const name of [kernel, initrd]) if ((await fileAt(join(directory, name))) !== 'file') missing.push(name);
    return missing.length === 0
      ? undefined
      : `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not in ${directory}${packageOf(directory)}`;
  }
  const image = sourceImage(source);
  if (image === undefined) return undefined;
  if (image.locations.length === 0) return 'no location is given for its image';
  const states: FileState[] = [];
  for (const location of image.locations) states.push(location.startsWith('/') ? await fileAt(location) : 'file');
  if (states.includes('file')) return undefined;
  return image.locations
    .map((path, index) => (states[index] === 'none' ? `there is no ${path}` : `${path} is not a file`))
    .join(', ');
}

type FileState = 'file' | 'other' | 'none';

async function fileAt(path: string): Promise<FileState> {
  const facts = await stat(path).catch(() => undefined);
  return facts === undefined ? 'none' : facts.isFile() ? 'file' : 'other';
}

/** Debian's packages of installers say by their folder what they are called. */
function packageOf(directory: string): string {
  const [, release, architecture] =
    /^\/usr\/lib\/debian-installer\/images\/([a-z0-9.]+)\/([a-z0-9]+)(?:\/|$)/.exec(directory) ?? [];
  return release === undefined || architecture === undefined
    ? ''
    : `; apt-get install debian-installer-${release}-netboot-${architecture}`;
}
