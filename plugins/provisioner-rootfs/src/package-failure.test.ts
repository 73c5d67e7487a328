import { errorKind, type PolyvisorError } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { explainPackageFailure } from './package-failure.js';

const sources = [{ uri: 'http://mirror.example/debian', suite: 'bookworm', components: ['main'] }];
const explain = (transcript: string, offline = false): PolyvisorError =>
  explainPackageFailure({ sources, offline, transcript, cause: new Error('apt') });

describe('why packages could not be installed', () => {
  it.each([
    ['E: Unable to locate package opensh-server', 'definition', 'package-unknown', 'opensh-server'],
    ["E: Package 'foo' has no installation candidate", 'definition', 'package-unknown', 'foo'],
    ["E: Version '9.9' for 'bash' was not found", 'definition', 'package-unknown', '9.9'],
    [
      'E: Could not connect to mirror.example:80 (192.0.2.1), connection timed out',
      'environment',
      'mirror-unreachable',
      'timed out',
    ],
    ["W: Could not resolve 'mirror.example'", 'environment', 'mirror-unreachable', 'mirror.example'],
    [
      'Err:2 http://mirror.example/debian bookworm Release\n  404  Not Found [IP: 192.0.2.1 80]',
      'definition',
      'archive-missing',
      'bookworm',
    ],
    [
      'Err:2 http://mirror.example/debian bookworm Release\n  404  File not found [IP: 192.0.2.1 80]',
      'definition',
      'archive-missing',
      'bookworm',
    ],
    [
      'Err:2 http://mirror.example/debian bookworm Release\n  503  Busy [IP: 192.0.2.1 80]',
      'environment',
      'mirror-unreachable',
      '503  Busy',
    ],
    [
      'W: GPG error: x InRelease: The following signatures: NO_PUBKEY 0E98404D386FA1D9',
      'environment',
      'archive-untrusted',
      'mirror.example',
    ],
    ['E: Release file for http://x/InRelease is expired (invalid since 3d)', 'environment', 'archive-stale', 'expired'],
    ['dpkg: error: cannot write: No space left on device', 'environment', 'disk-full', 'room'],
    ['dpkg: error processing package x (--configure)', 'guest', 'packages-failed', 'could not be installed'],
  ])('%s', (line, kind, code, part) => {
    const error = explain(`Get:1 …\n${line}\nE: mmdebstrap failed to run`);
    expect([errorKind(error), error.code]).toEqual([kind, code]);
    expect(error.message).toContain(part);
    expect(error.hint?.length).toBeGreaterThan(10);
  });

  it('is the cache, where the network was not to be used', () => {
    expect(explain("E: Could not resolve 'mirror.example'", true).code).toBe('not-cached');
  });
});
