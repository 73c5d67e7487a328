import { describe, expect, it } from 'vitest';
import { archiveSources, parseDeb822, parseSourcesList, sourceLine } from './mirror.js';

const wanted = { kind: 'packages', distribution: 'debian', suite: 'bookworm', components: ['main'] } as const;

describe("apt's sources", () => {
  it('reads the one-line format, with options and comments', () => {
    const text = [
      '# deb http://ignored.example/debian bookworm main',
      'deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian/ bookworm main contrib # why',
      'deb-src http://mirror.example/debian bookworm main',
      '  deb http://mirror.example/debian bookworm-updates main',
    ].join('\n');
    expect(parseSourcesList(text)).toEqual([
      {
        uri: 'http://mirror.example/debian',
        suite: 'bookworm',
        components: ['main', 'contrib'],
        signedBy: '/usr/share/keyrings/a.gpg',
      },
      { uri: 'http://mirror.example/debian', suite: 'bookworm-updates', components: ['main'] },
    ]);
  });

  it('reads deb822, with several suites, comments, continued lines and paragraphs that are switched off', () => {
    const text = `Types: deb deb-src
# an old address
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
`;
    expect(parseDeb822(text).map(sourceLine)).toEqual([
      'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main',
      'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm-updates main',
    ]);
  });

  it('leaves out a key that is written into the field, since no name of a file can be passed on', () => {
    const text =
      'Types: deb\nURIs: http://a.example\nSuites: x\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n';
    expect(parseDeb822(text)[0]).not.toHaveProperty('signedBy');
  });
});

describe('where packages come from', () => {
  const machine = parseSourcesList(
    [
      'deb http://mirror.example/debian bookworm main non-free',
      'deb http://mirror.example/debian bookworm-updates main',
      'deb http://mirror.example/debian-security bookworm-security main',
      'deb http://mirror.example/debian bookworm-backports main',
      'deb http://other.example/node nodistro main',
    ].join('\n'),
  );

  it("is what the machine's apt uses for the suite, with updates and security, in the components asked for", () => {
    expect(archiveSources(wanted, machine).map(sourceLine)).toEqual([
      'deb http://mirror.example/debian bookworm main',
      'deb http://mirror.example/debian bookworm-updates main',
      'deb http://mirror.example/debian-security bookworm-security main',
    ]);
  });

  it("is the machine's archive of another release for a suite that it does not have", () => {
    expect(archiveSources({ ...wanted, suite: 'trixie' }, machine).map(sourceLine)).toEqual([
      'deb http://mirror.example/debian trixie main',
      'deb http://mirror.example/debian trixie-updates main',
      'deb http://mirror.example/debian-security trixie-security main',
    ]);
    expect(archiveSources({ ...wanted, suite: 'sid' }, machine).map(sourceLine)).toEqual([
      'deb http://mirror.example/debian sid main',
    ]);
  });

  it('has to be named on a machine whose apt knows no such archive', () => {
    const foreign = parseSourcesList('deb http://other.example/node nodistro main');
    for (const sources of [[], foreign]) {
      expect(() => archiveSources(wanted, sources)).toThrowError(
        expect.objectContaining({
          code: 'mirror-unknown',
          hint: expect.stringContaining('--var mirror=') as string,
        }) as Error,
      );
    }
  });

  it("is the mirror that the definition names, with this machine's security archive", () => {
    expect(archiveSources({ ...wanted, mirror: 'http://near.example/debian/' }, machine).map(sourceLine)).toEqual([
      'deb http://near.example/debian bookworm main',
      'deb http://mirror.example/debian-security bookworm-security main',
    ]);
  });

  it('is signed by the keyring that the definition names', () => {
    const keyring = '/keys/own.gpg';
    expect(archiveSources({ ...wanted, mirror: 'http://near.example/x', keyring }, []).map(sourceLine)).toEqual([
      'deb [signed-by=/keys/own.gpg] http://near.example/x bookworm main',
    ]);
  });
});
