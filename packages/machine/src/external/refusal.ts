import { EnvironmentError, type ExternalFile, FormatError, type PolyvisorError } from '@polyvisor/core';
import { localPath, withoutSecrets } from './locations.js';
import type { Checksum } from './checksum.js';

/** Why a location does not have the file. */
export interface Refusal {
  readonly location: string;
  readonly reason: string;
  /** When there is a file and it is another one: what it gives. */
  readonly found?: Checksum;
}

/** All locations refused. */
export function unobtainable(file: ExternalFile, refusals: readonly Refusal[]): PolyvisorError {
  const [first] = refusals;
  if (first?.found !== undefined && refusals.every(({ found }) => found !== undefined))
    return new FormatError('checksum-wrong', `${listed(refusals)} is another file than the one that is wanted`, {
      ...(refusals.length === 1 ? { file: first.location } : {}),
      expected: file.checksum,
      found: refusals.map(({ found }) => `${found?.algorithm}:${found?.hex}`).join(', '),
      hint: 'see whether the publisher has a newer file or was broken into; correct the checksum only when you know why it changed',
    });
  return new EnvironmentError('file-unobtainable', `a file cannot be obtained:\n${lines(refusals)}`, {
    hint: `mend one of the locations, or add the path of a copy on this machine (checksum ${file.checksum})`,
  });
}

/** Nothing here has the file, and the network is not to be used. */
export function offlineMissing(file: ExternalFile, refusals: readonly Refusal[]): EnvironmentError {
  const remote = file.locations.filter((location) => localPath(location) === undefined);
  const tried = refusals.length === 0 ? '' : `\n${lines(refusals)}`;
  return new EnvironmentError(
    'offline-missing',
    `the file with checksum ${file.checksum} is not in the cache, and the network is not to be used (--offline)${tried}`,
    {
      hint:
        remote.length === 0
          ? 'put the file where the definition looks for it'
          : `build once without --offline, or fetch it from ${withoutSecrets(remote[0] ?? '')} and add its path to the locations`,
    },
  );
}

function listed(refusals: readonly Refusal[]): string {
  return refusals.map(({ location }) => location).join(' and ');
}

function lines(refusals: readonly Refusal[]): string {
  return refusals.map(({ location, reason }) => `  ${location}: ${reason}`).join('\n');
}
