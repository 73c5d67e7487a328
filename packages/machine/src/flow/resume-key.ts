import { createHash } from 'node:crypto';
import type { AnswerFile, InstallerSource } from '@polyvisor/core';
import { expandCommand, renderAnswers, type Values } from '../answers/index.js';
import { buildValues } from './build-values.js';
import type { InstallStart } from './choose-start.js';
import type { Run } from './run.js';

/** Changes when a later version of the flow would install something else from equal inputs. */
const VERSION = 1;

/** Stands for the values that are new in each build, so that they make no difference. */
const STAND_IN = { address: { port: 1, path: '/answers' }, publicKey: 'ssh-ed25519 AAAA polyvisor-build' };

/**
 * Names the disk that an installation leads to, by everything that it depends on: equal inputs, whatever the order of their
 * fields, give equal names. Time limits and the places that files come from do not count. Rendering the answers also finds their
 * mistakes before anything is started.
 */
export async function resumeKey(
  run: Pick<Run, 'id' | 'options' | 'capabilities' | 'firmware' | 'job'>,
  source: InstallerSource,
  start: InstallStart,
  checksums: Readonly<Record<string, string>>,
): Promise<string> {
  const { job, capabilities, firmware } = run;
  const { appliance } = job;
  const { access, answers, typing } = source;
  const served = answers.http.length > 0;
  const values = buildValues(appliance, access, {
    hostAddress: capabilities.hostAddress,
    publicKey: STAND_IN.publicKey,
    ...(served ? { address: STAND_IN.address } : {}),
  });
  const place = { file: `source of ${appliance.name}` };
  const expanded = (text: string) => expandCommand(text, values, place);
  return canonicalDigest({
    version: VERSION,
    provisioner: run.id,
    options: run.options,
    machine: {
      architecture: appliance.architecture,
      firmware,
      cpus: appliance.cpus,
      memory: appliance.memory,
      guest: appliance.guest,
      disk: appliance.disk.size,
      diskFormat: capabilities.diskFormat,
    },
    medium: { kind: source.medium.kind, checksums },
    start,
    kernelArguments: source.kernelArguments.map(expanded),
    typing: start === 'kernel' ? undefined : { command: typing.command.map(expanded), layout: typing.layout },
    http: await digests(answers.http, values, job.signal),
    seed: answers.seed && {
      label: answers.seed.label,
      filesystem: answers.seed.filesystem,
      files: await digests(answers.seed.files, values, job.signal),
    },
    access: { user: access.user, password: access.password, port: access.port, become: access.become },
  });
}

async function digests(files: readonly AnswerFile[], values: Values, signal: AbortSignal): Promise<object> {
  const rendered = await renderAnswers(files, values, signal);
  return Object.fromEntries(
    [...rendered].map(([name, bytes]) => [name, createHash('sha256').update(bytes).digest('hex')]),
  );
}

/** SHA-256 of plain data, in hexadecimal digits. The order of an object's fields makes no difference. */
export function canonicalDigest(value: unknown): string {
  const sorted = (_key: string, inner: unknown): unknown =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner;
  return createHash('sha256').update(JSON.stringify(value, sorted)).digest('hex');
}
