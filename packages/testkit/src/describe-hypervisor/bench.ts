import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hypervisor, HypervisorCapabilities, Images, Machine, MachineSpec, PluginContext } from '@polyvisor/core';
import { createTestContext, type TestContext } from '../context.js';
import { ECHO_GUEST_COUNTER, ECHO_GUEST_START, echoGuest } from '../echo-guest.js';
import { memoryDisk } from '../memory.js';
import { rawImages } from '../raw-images.js';

export interface HypervisorSuite {
  readonly capabilities: HypervisorCapabilities;
  /** Has to know `capabilities.diskFormat`; default: raw alone. */
  readonly images?: Images;
  /** How long the guest may take for anything that it does by itself, in milliseconds; default one minute. */
  readonly patience?: number;
  /** Kills what runs the machine, as an out-of-memory killer would; default: SIGKILL to all that was started through the context. */
  readonly kill?: (machine: MachineSpec) => Promise<void>;
}

export type MakeHypervisor = (context: PluginContext) => Hypervisor | Promise<Hypervisor>;

/** What one test works with. Disposing it ends what the test made. */
export interface Bench extends AsyncDisposable {
  readonly context: TestContext;
  readonly hypervisor: Hypervisor;
  /** Empty at first. */
  readonly directory: string;
  readonly capabilities: HypervisorCapabilities;
  readonly patience: number;
  /** Never fires. */
  readonly signal: AbortSignal;
  spec(changes?: Partial<MachineSpec>): Promise<MachineSpec>;
  create(spec: MachineSpec): Promise<Machine>;
  /** The text of the first serial port, as soon as the expression matches it. */
  console(spec: MachineSpec, expression: RegExp): Promise<string>;
  /** How often the guest on that disk was started, as the disk says. */
  starts(disk: string): Promise<number>;
  /** Writes a disk of 1 MiB that starts with these bytes. */
  disk(name: string, bytes: Uint8Array): Promise<string>;
  kill(spec: MachineSpec): Promise<void>;
}

const DISK_SIZE = 1024 * 1024;
const MEMORY = 64 * 1024 * 1024;

let made = 0;

/** A bench of its own for each test, so that none finds what another left. */
export async function openBench(make: MakeHypervisor, suite: HypervisorSuite): Promise<Bench> {
  const { capabilities, images = rawImages, patience = 60_000, kill } = suite;
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  const context = createTestContext();
  const machines: Machine[] = [];
  const signal = new AbortController().signal;
  const hypervisor = await make(context);

  const disk = async (name: string, bytes: Uint8Array) => {
    const path = join(directory, name);
    await images.write(memoryDisk(DISK_SIZE, [{ offset: 0, bytes }]), capabilities.diskFormat, path);
    return path;
  };
  return {
    context,
    hypervisor,
    directory,
    capabilities,
    patience,
    signal,
    disk,
    spec: async (changes = {}) => {
      const name = `polyvisor-test-${process.pid}-${++made}`;
      const path = changes.disk ?? (await disk(`${name}.disk`, echoGuest()));
      return {
        name,
        architecture: 'x86_64',
        firmware: 'bios',
        cpus: 1,
        memory: MEMORY,
        guest: '',
        media: [],
        forwardedPorts: [22],
        serialLog: join(directory, `${name}.serial.log`),
        firmwareStrings: [],
        ...changes,
        disk: path,
      };
    },
    create: async (spec) => {
      const workDir = join(directory, `${spec.name}.work`);
      await mkdir(workDir);
      const machine = await hypervisor.create(spec, workDir, signal);
      machines.push(machine);
      return machine;
    },
    console: (spec, expression) => waitForText(spec.serialLog, expression, patience),
    starts: async (path) => {
      await using source = await images.open(path, capabilities.diskFormat);
      const bytes = Buffer.alloc(2);
      await source.read(bytes, ECHO_GUEST_COUNTER);
      return bytes.readUInt16LE(0);
    },
    kill: async (spec) => {
      if (kill !== undefined) return kill(spec);
      for (const pid of context.running()) process.kill(-pid, 'SIGKILL');
    },
    [Symbol.asyncDispose]: async () => {
      for (const machine of machines.reverse()) await machine[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** An image of a medium, as it is. */
export async function writeMedium(bench: Bench, name: string, bytes: Uint8Array): Promise<string> {
  const path = join(bench.directory, name);
  await writeFile(path, bytes);
  return path;
}

/** Matches the guest's words at its n-th start. */
export function start(count: number, name: 'guest' | 'media' = 'guest'): RegExp {
  const number = count.toString(16).padStart(4, '0');
  return new RegExp(ECHO_GUEST_START.source.replace('(guest|media)', name).replace(/\(\[.*\)/, number));
}

async function waitForText(path: string, expression: RegExp, patience: number): Promise<string> {
  const deadline = Date.now() + patience;
  for (;;) {
    const text = await readFile(path, 'latin1').catch(() => '');
    if (expression.test(text)) return text;
    if (Date.now() > deadline)
      throw new Error(`the serial port never said ${String(expression)}, only ${JSON.stringify(text)}`);
    await sleep(50);
  }
}
