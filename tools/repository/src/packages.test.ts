import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { everyPackage, published, readText, root } from './repository.js';

describe.each(published)('$folder', ({ folder, manifest }) => {
  const isPlugin = folder.startsWith('plugins/');

  it('has the manifest that all packages share', () => {
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      type: 'module',
      engines: { node: '>=20.19' },
      exports: {
        '.': { '@polyvisor/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' },
        './package.json': './package.json',
      },
      publishConfig: { access: 'public' },
    });
    // The condition for the sources has to be asked first.
    expect(Object.keys(manifest.exports?.['.'] as object)[0]).toBe('@polyvisor/source');
    expect(manifest.description?.length).toBeGreaterThan(10);
    expect(manifest.files).toEqual(expect.arrayContaining(['dist', 'README.md']));
  });

  it('is named after its folder', () => {
    const expected = folder === 'packages/cli' ? 'polyvisor' : `@polyvisor/${folder.split('/')[1]}`;
    expect(manifest.name).toBe(expected);
    expect(existsSync(join(root, folder, 'src/index.ts'))).toBe(true);
  });

  it('is tagged, and found by its keyword exactly if it is a plugin', () => {
    const tags = manifest.nx?.tags ?? [];
    expect(tags.filter((tag) => tag.startsWith('type:'))).toHaveLength(1);
    expect(tags.includes('type:plugin')).toBe(isPlugin);
    expect(manifest.keywords).toContain('polyvisor');
    expect(manifest.keywords?.includes('polyvisor-plugin')).toBe(isPlugin);
  });

  it('has a README under its own name', () => {
    const title = manifest.name === 'polyvisor' ? /^# .*polyvisor/ : new RegExp(`^# ${manifest.name}\n`);
    expect(readText(`${folder}/README.md`)).toMatch(title);
  });
});

describe('the command', () => {
  const command = published.find(({ folder }) => folder === 'packages/cli');

  it('has a start file that exists before anything is compiled', () => {
    expect(command?.manifest.bin).toEqual({ polyvisor: './bin/polyvisor.js' });
    expect(readText('packages/cli/bin/polyvisor.js')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

describe('all packages', () => {
  it('have one version', () => {
    const versions = new Set(published.map(({ manifest }) => manifest.version));
    expect([...versions]).toHaveLength(1);
  });

  it('depend on each other by exactly that version', () => {
    const version = published[0]?.manifest.version;
    for (const { manifest } of everyPackage) {
      const dependencies = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies };
      for (const [name, range] of Object.entries(dependencies)) {
        if (name.startsWith('@polyvisor/')) expect(range, `${manifest.name} on ${name}`).toBe(version);
      }
    }
  });

  it('agree on the version of every library', () => {
    const ranges = new Map<string, Set<string>>();
    for (const { manifest } of everyPackage) {
      const dependencies = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
      for (const [name, range] of Object.entries(dependencies)) {
        ranges.set(name, (ranges.get(name) ?? new Set()).add(range));
      }
    }
    const disagreeing = [...ranges].filter(([, wanted]) => wanted.size > 1).map(([name, wanted]) => [name, ...wanted]);
    expect(disagreeing).toEqual([]);
  });

  it('are locked without the address of any registry', () => {
    expect(readText('package-lock.json')).not.toContain('"resolved": "http');
  });
});
