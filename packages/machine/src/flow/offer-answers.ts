import { join } from 'node:path';
import type { Answers, GuestAccess, Medium } from '@polyvisor/core';
import { type AnswerServer, renderAnswers, startAnswerServer, type Values } from '../answers/index.js';
import { writeSeedMedium } from '../media/index.js';
import type { BuildKey } from '../ssh/build-key.js';
import { buildValues } from './build-values.js';
import type { Cleanup } from './cleanup.js';
import type { Run } from './run.js';

/** The answers of one build, ready for the guest. */
export interface OfferedAnswers {
  readonly server: AnswerServer | undefined;
  readonly seed: Medium | undefined;
  readonly values: Values;
}

/** Starts the answer server and writes the seed medium, as far as the source wants them. */
export async function offerAnswers(
  run: Run,
  { answers, access }: { readonly answers: Answers; readonly access: GuestAccess },
  key: BuildKey,
  cleanup: Cleanup,
): Promise<OfferedAnswers> {
  const { job, capabilities } = run;
  const { hostAddress } = capabilities;
  const facts = { hostAddress, publicKey: key.publicKey };
  let values = buildValues(job.appliance, access, facts);
  let server: AnswerServer | undefined;
  if (answers.http.length > 0) {
    server = cleanup.use(
      await startAnswerServer({
        files: (address) => {
          values = buildValues(job.appliance, access, { ...facts, address });
          return renderAnswers(answers.http, values, job.signal);
        },
        emit: job.emit,
        signal: job.signal,
      }),
    );
    run.scene.server = server;
    run.log.info(`answers for the guest are at ${values['answers'] ?? ''}: ${server.offered.join(', ')}`);
  }
  return { server, seed: await writeSeed(run, answers.seed, values), values };
}

async function writeSeed({ job }: Run, seed: Answers['seed'], values: Values): Promise<Medium | undefined> {
  if (seed === undefined) return undefined;
  const path = join(job.workDir, seed.filesystem === 'iso' ? 'seed.iso' : 'seed.img');
  const files = await renderAnswers(seed.files, values, job.signal);
  await writeSeedMedium(
    path,
    { label: seed.label, filesystem: seed.filesystem, files, identity: job.identity },
    job.signal,
  );
  return { kind: seed.filesystem === 'iso' ? 'cdrom' : 'disk', path };
}
