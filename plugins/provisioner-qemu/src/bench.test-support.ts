import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Hypervisor, Machine, MachineSpec } from '@polyvisor/core';
import { createTestContext, type TestContext } from '@polyvisor/testkit';
import type { z } from 'zod';
import { createQemuHypervisor } from './hypervisor.js';
import { qemuOptions } from './options.js';

/** Real machines for tests, emulated everywhere, for equal results with and without KVM. */
export interface Bench extends AsyncDisposable {
  readonly context: TestContext;
  readonly hypervisor: Hypervisor;
  readonly directory: string;
  readonly signal: AbortSignal;
  /** A machine whose disk starts with these bytes. */
  machine(
    bytes: Uint8Array,
    changes?: Partial<MachineSpec>,
  ): Promise<{ machine: Machine; spec: MachineSpec; workDir: string }>;
  /** The serial port's text, once the expression matches it. */
  said(spec: MachineSpec, expression: RegExp): Promise<string>;
}

const PATIENCE = 60_000;

/** `choose` gets the bench's directory. */
export async function openBench(
  choose: z.input<typeof qemuOptions> | ((directory: string) => z.input<typeof qemuOptions>) = {},
): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), 'provisioner-qemu-'));
  const options = typeof choose === 'function' ? choose(directory) : choose;
  const context = createTestContext();
  const hypervisor = createQemuHypervisor(context, qemuOptions.parse({ acceleration: 'tcg', ...options }));
  const machines: Machine[] = [];
  const signal = new AbortController().signal;
  return {
    context,
    hypervisor,
    directory,
    signal,
    machine: async (bytes, changes = {}) => {
      const name = `test-${process.pid}-${machines.length}`;
      const disk = changes.disk ?? join(directory, `${name}.raw`);
      await writeFile(disk, Buffer.concat([bytes], 2 ** 20));
      const spec: MachineSpec = {
        name,
        architecture: 'x86_64',
        firmware: 'bios',
        cpus: 1,
        memory: 64 * 2 ** 20,
        guest: '',
        media: [],
        forwardedPorts: [],
        serialLog: join(directory, `${name}.log`),
        firmwareStrings: [],
        ...changes,
        disk,
      };
      const workDir = join(directory, `${name}.work`);
      await mkdir(workDir);
      const machine = await hypervisor.create(spec, workDir, signal);
      machines.push(machine);
      return { machine, spec, workDir };
    },
    said: async (spec, expression) => {
      for (let waited = 0; waited < PATIENCE; waited += 20) {
        const text = await readFile(spec.serialLog, 'latin1').catch(() => '');
        if (expression.test(text)) return text;
        await delay(20);
      }
      throw new Error(`the guest never said ${String(expression)}`);
    },
    [Symbol.asyncDispose]: async () => {
      for (const machine of machines) await machine[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
