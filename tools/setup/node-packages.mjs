import { existsSync } from 'node:fs';
import { EnvironmentProblem, say } from './messages.mjs';
import { run } from './process.mjs';
import { readJson } from './workspaces.mjs';

/** What npm itself writes at the end of every complete installation; an interrupted one leaves none. */
const INSTALLED = 'node_modules/.package-lock.json';

/** Installs the packages of the lockfile unless exactly these are there already, whoever installed them. */
export async function ensureNodePackages() {
  const reason = whyInstall();
  if (reason === undefined) return;
  say(`npm packages: ${reason}; running \`npm ci\` (about 15 seconds when the registry is near)`);
  // Under `npm start` this is the very npm that runs us; elsewhere the one on PATH.
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const args = [...npm.slice(1), 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  let code;
  try {
    code = await run(npm[0], args, { stdio: ['ignore', 2, 2] });
  } catch (error) {
    throw new EnvironmentProblem(
      `npm cannot be started (${error.message}); install it beside Node.js and run the same command again.`,
    );
  }
  if (code !== 0) {
    throw new EnvironmentProblem(
      `\`npm ci\` ended with exit code ${code}; its message is above. Is the registry of \`npm config get registry\` reachable?`,
    );
  }
}

function whyInstall() {
  if (!existsSync(INSTALLED)) return 'not installed yet';
  const wanted = readJson('package-lock.json').packages;
  const installed = readJson(INSTALLED).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const there = installed[path];
    // npm leaves out what is made for other processors and systems.
    if (there === undefined && entry.optional) continue;
    if (there?.version !== entry.version || there?.link !== entry.link || there?.integrity !== entry.integrity) {
      return `${path.replace(/^node_modules\//, '')} is not as package-lock.json has it`;
    }
  }
  return undefined;
}
