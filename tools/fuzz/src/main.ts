import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { readFile } from 'node:fs/promises';
import { CORPUS, keepInput } from './corpus.js';
import { hasStructure, loadHost } from './readers.js';
import { runWorker } from './run-worker.js';
import { exercise } from './subject.js';

const USAGE = `npm run fuzz -- [options]

Mutates small images, guided by which code they reach, over every reader that the command loads.

  --seconds <n>      time for all of it (default 60)
  --format <id,…>    only these readers
  --jobs <n>         readers fuzzed at the same time (default 2)
  --seed <n>         another seed gives other mutations (default: from the date)
  --keep             keep the inputs that reach new code in tools/fuzz/corpus
  --replay <file>    run one kept input through its reader (with --format) and say what happens
`;

const FINDINGS = fileURLToPath(new URL('../../../coverage/fuzz', import.meta.url));

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    format: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 86_400_000)) },
    keep: { type: 'boolean', default: false },
    replay: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) console.log(USAGE);
else if (values.replay !== undefined) await replay(values.replay, values.format ?? '');
else await all();

async function all(): Promise<void> {
  const formats = values.format?.split(',') ?? (await readers());
  const jobs = Number(values.jobs);
  const share = (Number(values.seconds) * 1000 * Math.min(jobs, formats.length)) / formats.length;
  console.log(
    `${formats.length} readers (${formats.join(', ')}), ${Math.round(share / 1000)} s each, seed ${values.seed}`,
  );
  let failures = 0;
  const queue = [...formats];
  const next = async () => {
    for (let format = queue.shift(); format !== undefined; format = queue.shift()) failures += await one(format, share);
  };
  await Promise.all(Array.from({ length: jobs }, next));
  console.log(
    failures === 0 ? 'nothing found' : `${failures} findings; run one again with --replay <file> --format <id>`,
  );
  process.exitCode = failures === 0 ? 0 : 1;
}

async function one(format: string, duration: number): Promise<number> {
  const task = { format, duration, seed: Number(values.seed), corpus: CORPUS };
  const kept: Promise<string>[] = [];
  const onNews = (input: Uint8Array) => {
    if (values.keep) kept.push(keepInput(join(CORPUS, format), input));
  };
  const report = await runWorker(task, { jobs: Number(values.jobs), onNews });
  await Promise.all(kept);
  console.log(
    `${format}: ${report.runs} inputs, ${report.features} features, ${report.news} new inputs, ${report.findings.length} findings`,
  );
  for (const { what, stack, input } of report.findings) {
    const path = await keepInput(join(FINDINGS, format), input);
    console.log(`  ${what}\n    ${path}\n    ${stack.split('\n').slice(0, 6).join('\n    ')}`);
  }
  return report.findings.length;
}

async function readers(): Promise<readonly string[]> {
  await using host = await loadHost();
  return host
    .converters()
    .filter(hasStructure)
    .map(({ id }) => id);
}

async function replay(path: string, format: string): Promise<void> {
  await using host = await loadHost();
  await exercise(host.converter(format), gunzipSync(await readFile(path)));
  console.log(`${format} behaves: it reads the input, or refuses it as it should`);
}
