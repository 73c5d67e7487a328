import { readFileSync, rmSync } from 'node:fs';
import { ensureDebianPackages } from './debian-packages.mjs';
import { alone } from './lock.mjs';
import { EXIT_BUG, EXIT_ENVIRONMENT, EXIT_USAGE, EnvironmentProblem, say } from './messages.mjs';
import { ensureNodePackages } from './node-packages.mjs';
import { forwardSignals, interrupted, interruptionCode, run } from './process.mjs';
import { writeReferences } from './references.mjs';
import { countTests } from './test-results.mjs';
import { ensureVirtualBox } from './virtualbox.mjs';

const TEST_RESULTS = 'coverage/results.json';

const tasks = { start, test, lint, build };

/** Runs one task and sets the exit code. */
export async function runTask(name, args) {
  forwardSignals();
  const task = Object.hasOwn(tasks, name ?? '') ? tasks[name] : undefined;
  if (task === undefined) {
    console.error(`No task is named ${JSON.stringify(name ?? '')}; there are ${Object.keys(tasks).join(', ')}.`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  try {
    process.exitCode = await task(args);
  } catch (error) {
    if (interrupted()) {
      process.exitCode = interruptionCode();
      return;
    }
    if (!(error instanceof EnvironmentProblem)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = EXIT_ENVIRONMENT;
  }
}

/** Builds the appliance `debian-12` in every format, with the words after `npm start --` added to the command. */
async function start(args) {
  await alone(async () => {
    await ensureNodePackages();
    await ensureDebianPackages(['run']);
  });
  const compiled = await compile();
  if (interrupted()) return interruptionCode();
  if (compiled !== 0) {
    console.error(
      '\nThe sources do not compile, so there is nothing to start. If you did not change them, please report this.',
    );
    return EXIT_BUG;
  }
  // What an earlier start has made is replaced when the new result is complete; other folders are the user's.
  const elsewhere = args.some((arg) => /^(-o|--output)/.test(arg));
  const build = ['build', 'debian-12', ...(elsewhere ? [] : ['--force']), ...args];
  say(`starting: polyvisor ${build.join(' ')}`);
  return run(process.execPath, ['packages/cli/bin/polyvisor.js', ...build]);
}

/** All that has to hold before a change lands; with arguments, only the tests that these select (`npm test -- qcow2`). */
async function test(args) {
  await alone(async () => {
    await ensureNodePackages();
    await ensureDebianPackages(['run', 'test']);
    await ensureVirtualBox();
  });
  const checks = [
    { title: 'types', work: () => compile() },
    { title: 'tests', work: () => vitest(args) },
    { title: 'project references', work: () => nx('sync:check') },
    { title: 'lint', work: () => eslint() },
  ];
  const results = [];
  for (const { title, work } of args.length > 0 ? checks.slice(0, 2) : checks) {
    if (interrupted()) break;
    const started = performance.now();
    const code = await work();
    results.push({ title, code, seconds: (performance.now() - started) / 1000 });
  }
  return report(results);
}

async function lint(args) {
  await alone(ensureNodePackages);
  writeReferences();
  // First, because the rule about imports between packages reads the graph that Nx makes here, and is silent without one.
  const synchronised = await nx('sync:check');
  if (interrupted()) return interruptionCode();
  const linted = await eslint(args);
  if (interrupted()) return interruptionCode();
  say('checking the layout of all files (prettier --check)');
  const formatted = await tool('prettier/bin/prettier.cjs', ['--check', '--log-level=warn', '.']);
  if (formatted !== 0) say('`npm run format` mends the layout');
  return synchronised || linted || formatted;
}

/** Compiles every package to its `dist`, through Nx, which skips what has not changed. */
async function build(args) {
  await alone(ensureNodePackages);
  writeReferences();
  return nx('run-many', '-t', 'build', ...args);
}

function compile() {
  say('compiling (tsc -b)');
  return alone(() => {
    writeReferences();
    return tool('typescript/bin/tsc', ['-b']);
  });
}

function vitest(args) {
  say('running the tests (vitest)');
  rmSync(TEST_RESULTS, { force: true });
  const reporters = ['default', 'junit', 'json'].map((name) => `--reporter=${name}`);
  const files = ['--outputFile.junit=coverage/junit.xml', `--outputFile.json=${TEST_RESULTS}`];
  return tool('vitest/vitest.mjs', ['run', ...reporters, ...files, ...args]);
}

function eslint(args = []) {
  say('checking the rules of the sources (eslint)');
  return tool('eslint/bin/eslint.js', ['.', ...args], { env: { ...process.env, NX_DAEMON: 'false' } });
}

/** Without its background process, which would outlive the task, and without its full-screen display. */
function nx(...args) {
  say(`nx ${args.join(' ')}`);
  return tool('nx/dist/bin/nx.js', args, { env: { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false' } });
}

function tool(path, args, options) {
  return run(process.execPath, [`node_modules/${path}`, ...args], options);
}

/** Ends with the one line that CI reads. Each check counts as one test, so that the line never says less than the exit code. */
function report(results) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { title, code, seconds } of results) {
    say(`${code === 0 ? 'passed' : 'FAILED'}  ${title} (${seconds.toFixed(1)} s)`);
    const counted =
      title === 'tests'
        ? countTests(readResults(), code)
        : { passed: Number(code === 0), failed: Number(code !== 0), skipped: 0 };
    for (const key of Object.keys(total)) total[key] += counted[key];
  }
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  if (interrupted()) return interruptionCode();
  return total.failed === 0 ? 0 : 1;
}

function readResults() {
  try {
    return JSON.parse(readFileSync(TEST_RESULTS, 'utf8'));
  } catch {
    return undefined;
  }
}
