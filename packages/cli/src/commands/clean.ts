import { join, resolve } from 'node:path';
import { findLeftovers, type Leftover, originalName, removeLeftover } from '@polyvisor/build';
import { shown } from '../artifact-table.js';
import { cacheDirectory, workRoot } from '../places.js';
import type { Configure } from '../program.js';

export const configure: Configure = (command, session) => {
  command
    .argument('[folders...]', 'folders of results to look in, besides the current one and that of the project')
    .option('--kept', 'also what was kept after a failure, by --on-error keep')
    .option('--logs', 'also the logs of builds that failed')
    .option('--dry-run', 'only say what would be removed')
    .option('--work-dir <folder>', 'where temporary files are; by default $TMPDIR or /var/tmp')
    .option('--cache-dir <folder>', 'where logs are; by default $POLYVISOR_CACHE or ~/.cache/polyvisor')
    .addHelpText(
      'after',
      `
Removes what runs left that were killed: temporary folders, the machines that belong to them, unfinished results. Each names
its process, and only what belongs to processes that are gone is touched. Exit code 1: something could not be removed.

Examples:
  $ polyvisor clean --dry-run
  $ polyvisor clean
  $ polyvisor clean --kept --logs out`,
    )
    .action(async (folders, options) => {
      const run = session();
      const { io, signal } = run;
      const at = (path: string) => resolve(io.cwd, path);
      const results = (await run.project()).output ?? join(io.cwd, 'artifacts');
      const found = await findLeftovers({
        workRoots: [options.workDir === undefined ? workRoot(io.env) : at(options.workDir)],
        outputFolders: [io.cwd, results, ...folders.map(at)],
        cacheDir: options.cacheDir === undefined ? cacheDirectory(io.env) : at(options.cacheDir),
      });
      const host = await run.host();
      const find = (id: string) => host.provisioners().find((one) => one.id === id);
      const report: Report = { removed: [], kept: [], left: [] };
      for (const leftover of found) {
        signal.throwIfAborted();
        const wish = wishFor(leftover, options);
        if (wish !== undefined) report.kept.push({ ...leftover, option: wish });
        else if (options.dryRun === true) report.removed.push(leftover);
        else {
          const reason = await removeLeftover(leftover, find, signal);
          if (reason === undefined) report.removed.push(leftover);
          else report.left.push({ ...leftover, reason });
        }
      }
      run.answeredNo = report.left.length > 0;
      run.answer(
        { command: 'clean', dryRun: options.dryRun === true, ...report },
        textOf(report, options.dryRun === true, io.cwd),
      );
    });
};

interface Report {
  readonly removed: Leftover[];
  readonly kept: (Leftover & { readonly option: string })[];
  readonly left: (Leftover & { readonly reason: string })[];
}

/** The option that would be needed to remove it, when it was not given. */
function wishFor(
  { kind, kept }: Leftover,
  options: { readonly kept?: true | undefined; readonly logs?: true | undefined },
): string | undefined {
  if (kept && options.kept !== true) return '--kept';
  return kind === 'log' && options.logs !== true ? '--logs' : undefined;
}

function textOf({ removed, kept, left }: Report, dryRun: boolean, cwd: string): string {
  const lines = [
    ...removed.map((one) => {
      if (one.kind === 'aside') {
        const back = shown(originalName(one.path), cwd);
        return `${dryRun ? 'would put back' : 'put back'} ${back}, which was being replaced`;
      }
      return `${dryRun ? 'would remove' : 'removed'} ${shown(one.path, cwd)}${about(one)}`;
    }),
    ...kept.map((one) => `kept ${shown(one.path, cwd)}${about(one)}; ${one.option} removes it`),
    ...left.map((one) => `cannot remove ${shown(one.path, cwd)}${about(one)}: ${one.reason}`),
  ];
  return lines.length === 0 ? 'nothing was left behind' : lines.join('\n');
}

const WORDS: Readonly<Record<Leftover['kind'], string>> = {
  work: 'temporary files',
  output: 'an unfinished result',
  aside: 'a result',
  spool: 'a temporary file',
  log: 'the log of a build that failed',
};

function about({ kind, state }: Leftover): string {
  if (state === undefined) return ` (${WORDS[kind]})`;
  const by = state.provisioner === undefined ? '' : ` with ${state.provisioner}`;
  return ` (${state.command}${by} of ${state.subject}, begun ${state.started})`;
}
