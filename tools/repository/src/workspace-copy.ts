import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { root } from './repository.js';

/** What a package needs around it to be generated, compiled and tested. */
const COPIED = [
  '.gitignore',
  '.prettierrc.json',
  'nx.json',
  'package.json',
  'tsconfig.base.json',
  'vitest.config.ts',
  'vitest.shared.ts',
  'docs',
  'packages/core',
  'packages/testkit',
  'tools/repository/package.json',
  'tools/repository/vitest.config.ts',
  'tools/setup',
  'tools/workspace-plugin',
];

export interface WorkspaceCopy {
  readonly directory: string;
  /** Does what `npm install` does with the workspaces' own packages: links them. */
  link(): Promise<void>;
  /** Runs a program of node_modules in it. Never rejects. */
  run(path: string, args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }>;
  remove(): Promise<void>;
}

/** A small copy of this workspace in a temporary folder, with the libraries that are installed here. */
export async function copyWorkspace(): Promise<WorkspaceCopy> {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-workspace-'));
  const made = new Set(['node_modules', 'dist', 'out-tsc']);
  for (const path of COPIED) {
    await cp(join(root, path), join(directory, path), { recursive: true, filter: (from) => !made.has(basename(from)) });
  }
  await mkdir(join(directory, 'plugins'));
  const modules = join(directory, 'node_modules');
  await mkdir(join(modules, '@polyvisor'), { recursive: true });
  for (const name of await readdir(join(root, 'node_modules'))) {
    // Among them links to the workspaces' own packages, which have to be those of the copy; and caches.
    if (name === '@polyvisor' || name === '.cache') continue;
    await symlink(join(root, 'node_modules', name), join(modules, name));
  }
  const link = async () => {
    for (const parent of ['packages', 'plugins', 'tools']) {
      for (const name of await readdir(join(directory, parent))) {
        await rm(join(modules, '@polyvisor', name), { force: true });
        await symlink(join(directory, parent, name), join(modules, '@polyvisor', name));
      }
    }
  };
  await link();
  return {
    directory,
    link,
    run: (path, args) => run(directory, join(modules, path), args),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

function run(cwd: string, path: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  // What this run of vitest tells its own processes is not for the one inside.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_ENV|NX_|TEST$|npm_)/.test(name));
  const env = { ...Object.fromEntries(inherited), NX_DAEMON: 'false', NX_TUI: 'false', NO_COLOR: '1' };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [path, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    child.once('close', (code) => resolve({ code, output }));
  });
}
