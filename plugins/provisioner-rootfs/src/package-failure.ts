import { DefinitionError, EnvironmentError, GuestError, type PolyvisorError } from '@polyvisor/core';
import type { AptSource } from './mirror.js';

interface Cause {
  readonly pattern: RegExp;
  readonly explain: (match: RegExpExecArray, context: FailureContext) => PolyvisorError;
}

export interface FailureContext {
  readonly sources: readonly AptSource[];
  readonly offline: boolean;
  readonly transcript: string;
  readonly cause: unknown;
}

/** What apt and dpkg say, by cause; the first that is found counts. */
const CAUSES: readonly Cause[] = [
  {
    pattern: /No space left on device/,
    explain: (_, { cause }) =>
      new EnvironmentError('disk-full', 'there is no room for the packages', {
        hint: 'free space where the cache and the work directory are; if the tree is in memory, give the option scratch=disk',
        cause,
      }),
  },
  {
    pattern:
      /Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate|(?:Version|Release) '(.+?)' for '(\S+?)' was not found/,
    explain: ([found, missing, virtual], { sources, cause }) =>
      new DefinitionError('package-unknown', `${missing ?? virtual ?? found}: no such package in ${suites(sources)}`, {
        hint: 'check its spelling under `packages`, or add the component that it is in (contrib, non-free, non-free-firmware)',
        cause,
      }),
  },
  {
    pattern:
      /NO_PUBKEY|is not signed|EXPKEYSIG|BADSIG|signatures? (?:couldn't be verified|were invalid)|unknown keyring/i,
    explain: (_, { sources, cause }) =>
      new EnvironmentError('archive-untrusted', `this machine does not trust the keys of ${places(sources)}`, {
        hint: "install debian-archive-keyring, or name the archive's keyring in source.packages.keyring",
        cause,
      }),
  },
  {
    pattern: /Release file for .* is (?:expired|not valid yet)/,
    explain: ([found], { cause }) =>
      new EnvironmentError('archive-stale', found, {
        hint: "check this machine's clock, or choose a mirror that is kept up to date",
        cause,
      }),
  },
  {
    // apt names the reason on the line after the one that failed; after the number, servers put words of their own.
    pattern: /^ +404 |404 +Not Found|Err:[^\n]*\n +File not found/m,
    explain: (_, { sources, offline, cause }) =>
      offline
        ? notCached(sources, cause)
        : new DefinitionError('archive-missing', `${places(sources)} does not have all of ${suites(sources)}`, {
            hint: 'check source.packages.suite and the mirror (variable "mirror"); a list may also be out of date: try again',
            cause,
          }),
  },
  {
    pattern:
      /Err:\d+ [^\n]*\n +([^\n]+)|(?:Could not (?:connect|resolve)|Temporary failure resolving|Connection (?:failed|timed out|refused)|Unable to connect|Failed to fetch|does not have a Release file)[^\n]*/,
    explain: ([found, reason], { sources, offline, cause }) =>
      offline
        ? notCached(sources, cause)
        : new EnvironmentError(
            'mirror-unreachable',
            `the package mirror (${places(sources)}) does not answer as it should: ${reason ?? found}`,
            {
              hint: 'check the network and its proxy, give another mirror with --var mirror=…, or use what is cached with --offline',
              cause,
            },
          ),
  },
];

/** Names the reason for which packages could not be installed, from what mmdebstrap printed. */
export function explainPackageFailure(context: FailureContext): PolyvisorError {
  for (const { pattern, explain } of CAUSES) {
    const match = pattern.exec(context.transcript);
    if (match !== null) return explain(match, context);
  }
  return new GuestError('packages-failed', 'the packages could not be installed', {
    transcript: context.transcript.split('\n').slice(-20).join('\n'),
    hint: 'the last lines above say which package failed; the log has all of them',
    cause: context.cause,
  });
}

export function notCached(sources: readonly AptSource[], cause?: unknown): PolyvisorError {
  return new EnvironmentError(
    'not-cached',
    `not everything that this build needs from ${places(sources)} is in the cache`,
    {
      hint: 'build it once with a network; then it can be built offline',
      cause,
    },
  );
}

function places(sources: readonly AptSource[]): string {
  return [...new Set(sources.map(({ uri }) => uri))].join(', ');
}

function suites(sources: readonly AptSource[]): string {
  return [...new Set(sources.map(({ suite }) => suite))].join(', ');
}
