import { existsSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { filesBelow, isTest, type Manifest, published, readText, root } from './repository.js';

/** Names of the packages that a file imports, in whatever way. */
function imported(path: string): string[] {
  return ts
    .preProcessFile(readText(path), true, true)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => !name.startsWith('.') && !name.startsWith('node:') && !builtinModules.includes(name))
    .map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/'));
}

function typeScript(folder: string): string[] {
  return filesBelow(`${folder}/src`).filter((path) => path.endsWith('.ts'));
}

/** Where it stands that a package wants a library. */
function declared(manifest: Manifest): string[] {
  return Object.keys({
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    ...manifest.peerDependencies,
  });
}

/** What a library wants to be installed beside it. */
function peers(name: string): string[] {
  const path = `node_modules/${name}/package.json`;
  if (!existsSync(join(root, path))) return [];
  return Object.keys((JSON.parse(readText(path)) as Manifest).peerDependencies ?? {});
}

const rootManifest = JSON.parse(readText('package.json')) as Manifest;

describe.each(published)('$folder', ({ folder, manifest }) => {
  const files = typeScript(folder);
  const inSources = new Set(files.filter((path) => !isTest(path)).flatMap(imported));
  const inTests = new Set(files.filter(isTest).flatMap(imported));

  it('declares what its sources import', () => {
    expect([...inSources].filter((name) => !declared(manifest).includes(name))).toEqual([]);
  });

  it('declares what its tests import', () => {
    const known = [...declared(manifest), ...Object.keys(manifest.devDependencies ?? {})];
    const shared = Object.keys(rootManifest.devDependencies ?? {});
    expect([...inTests].filter((name) => ![...known, ...shared, manifest.name].includes(name))).toEqual([]);
  });

  it('imports what it declares', () => {
    // The command knows plugins by name only; a library may want another one beside it.
    const wantedByOthers = new Set(declared(manifest).flatMap(peers));
    const byName = (name: string) => manifest.name === 'polyvisor' && isPluginName(name);
    const unused = declared(manifest).filter(
      (name) => !inSources.has(name) && !wantedByOthers.has(name) && !byName(name),
    );
    expect(unused).toEqual([]);
    expect(Object.keys(manifest.devDependencies ?? {}).filter((name) => !inTests.has(name))).toEqual([]);
  });
});

function isPluginName(name: string): boolean {
  return published.some(({ folder, manifest }) => manifest.name === name && folder.startsWith('plugins/'));
}

describe('the container for dependency injection', () => {
  const sources = published.flatMap(({ folder }) => typeScript(folder)).filter((path) => !isTest(path));

  it('is known to the host alone, and there to one file', () => {
    const importing = sources.filter((path) =>
      imported(path).some((name) => ['tsyringe', 'reflect-metadata'].includes(name)),
    );
    expect(importing).toEqual(['packages/host/src/injection.ts']);
  });

  it('is made and asked in the composition root alone', () => {
    const naming = sources.filter((path) =>
      /\bcontainer\.\w|createChildContainer|import \{[^}]*\bcontainer\b[^}]*\} from/.test(readText(path)),
    );
    expect(naming).toEqual(['packages/host/src/compose.ts']);
  });

  it('is never the global one', () => {
    const global = /@(singleton|registry|autoInjectable|scoped)\(|@injectable\(\{/;
    expect(sources.filter((path) => global.test(readText(path)))).toEqual([]);
  });
});
