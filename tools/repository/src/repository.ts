import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

/** The root of the repository, absolute. */
export const root = resolve(import.meta.dirname, '../../..');

/** Folders that hold nothing that a person wrote. */
const MADE = new Set(['node_modules', 'dist', 'out-tsc', 'coverage', 'artifacts']);

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly type?: string;
  readonly private?: boolean;
  readonly keywords?: readonly string[];
  readonly engines?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly files?: readonly string[];
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly nx?: { readonly tags?: readonly string[] };
  readonly polyvisor?: { readonly debianPackages?: Readonly<Record<string, readonly string[]>> };
}

export interface Package {
  /** Relative to the root, such as `plugins/converter-raw`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** All files below a folder that a person wrote, relative to the root, sorted. */
export function filesBelow(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  return entries
    .filter(({ name }) => !MADE.has(name) && !name.startsWith('.'))
    .flatMap((entry) => {
      const path = relative(root, join(root, folder, entry.name));
      return entry.isDirectory() ? filesBelow(path) : [path];
    })
    .sort();
}

function packagesIn(parent: string): Package[] {
  return readdirSync(join(root, parent))
    .filter((name) => existsSync(join(root, parent, name, 'package.json')))
    .sort()
    .map((name) => `${parent}/${name}`)
    .map((folder) => ({ folder, manifest: JSON.parse(readText(`${folder}/package.json`)) as Manifest }));
}

/** What is published. */
export const published = [...packagesIn('packages'), ...packagesIn('plugins')];
export const plugins = published.filter(({ folder }) => folder.startsWith('plugins/'));
export const everyPackage = [...published, ...packagesIn('tools')];

export function isTest(path: string): boolean {
  return /\.test(-support)?\.ts$/.test(path);
}
