import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Appliance,
  createIdentity,
  errorKind,
  type Images,
  type PluginContext,
  type ProvisionJob,
  type Provisioner,
} from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestContext, type TestContext } from './context.js';
import { sampleFacts } from './facts.js';

export interface ProvisionerSuite {
  /** An appliance that the provisioner can make; only its plain parts are used unless `tools` make a whole disk. */
  readonly appliance?: Appliance;
  /**
   * Prepares a directory with fake tools (see `fakeTool`) that is the whole PATH of the provisioner. With them, each
   * command is made to fail in turn, and the job to be cancelled at each.
   */
  readonly tools?: (directory: string) => Promise<void>;
}

/** Everything that must hold for every provisioner, found out without the real tools. */
export function describeProvisioner(
  make: (context: PluginContext) => Provisioner,
  { appliance = sampleAppliance, tools }: ProvisionerSuite = {},
): void {
  describe('the provisioner keeps its contract', () => {
    let directory = '';
    let path = '';
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
      path = join(directory, 'bin');
      for (const name of ['bin', 'work', 'cache', 'logs']) await mkdir(join(directory, name));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const jobFor = (changes: Partial<ProvisionJob> = {}): ProvisionJob => ({
      appliance,
      options: {},
      seal: 'echo sealed',
      identity: createIdentity('test'),
      workDir: join(directory, 'work'),
      cacheDir: join(directory, 'cache'),
      offline: false,
      logDir: join(directory, 'logs'),
      images: noImages,
      emit: () => undefined,
      signal: new AbortController().signal,
      ...changes,
    });

    it('describes itself', () => {
      const provisioner = make(createTestContext());
      expect(provisioner.id).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(provisioner.summary.length).toBeGreaterThan(0);
      expect(provisioner.capabilities.architectures.length).toBeGreaterThan(0);
      expect(provisioner.capabilities.firmware.length).toBeGreaterThan(0);
      expect(provisioner.capabilities.sources.length).toBeGreaterThan(0);
    });

    it('says what is missing, and how to get it, on a machine without its tools', async () => {
      const probe = await make(createTestContext({ path })).probe(new AbortController().signal);
      expect(probe.usable).toBe(false);
      if (!probe.usable) {
        expect(probe.reason.length).toBeGreaterThan(10);
        expect(probe.hint.length).toBeGreaterThan(10);
      }
    });

    it('estimates the space it needs', async () => {
      expect(await make(createTestContext()).estimate(appliance)).toBeGreaterThan(0);
    });

    it('refuses an option that it does not know, and touches nothing', async () => {
      const context = createTestContext({ path });
      await expect(make(context).provision(jobFor({ options: { nonsense: 1 } }))).rejects.toSatisfy(
        (error) => errorKind(error) === 'definition',
        'a DefinitionError, such as `parseOptions` of @polyvisor/core throws',
      );
      expect(await readdir(join(directory, 'work'))).toEqual([]);
    });

    it('does nothing when it is cancelled before it starts', async () => {
      const reason = new Error('cancelled');
      const context = createTestContext({ path });
      await expect(make(context).provision(jobFor({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
      expect(context.running()).toEqual([]);
    });

    if (tools === undefined) return;

    const complete = async (context: TestContext, job: ProvisionJob) => {
      const disk = await make(context).provision(job);
      await disk[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose](); // a second time does no harm
      return context.commands.length;
    };

    it('makes a disk, and releases it twice without harm', async () => {
      await tools(path);
      const context = createTestContext({ path });
      expect(await complete(context, jobFor())).toBeGreaterThan(0);
      expect(context.running()).toEqual([]);
    });

    it('cleans up after a failure of each of its commands', async () => {
      await tools(path);
      const count = await complete(createTestContext({ path }), jobFor());
      for (let failing = 0; failing < count; failing++) {
        const broken = new Error(`command ${failing} fails`);
        const context = createTestContext({
          path,
          beforeCommand: (index) => {
            if (index === failing) throw broken;
          },
        });
        await expect(make(context).provision(jobFor())).rejects.toThrow();
        expect(context.running()).toEqual([]);
        await rm(join(directory, 'work'), { recursive: true });
        await mkdir(join(directory, 'work'));
      }
    }, 120_000);

    it('ends at once when it is cancelled during each of its commands', async () => {
      await tools(path);
      const count = await complete(createTestContext({ path }), jobFor());
      for (let last = 0; last < count; last++) {
        const cancel = new AbortController();
        const reason = new Error('cancelled');
        const context = createTestContext({
          path,
          beforeCommand: (index) => {
            if (index === last) cancel.abort(reason);
          },
        });
        await expect(make(context).provision(jobFor({ signal: cancel.signal }))).rejects.toBe(reason);
        expect(context.running()).toEqual([]);
        await rm(join(directory, 'work'), { recursive: true });
        await mkdir(join(directory, 'work'));
      }
    }, 120_000);
  });
}

/** For jobs that start from nothing. */
const noImages: Images = {
  open: (path) => Promise.reject(new Error(`this job reads no images, and wants to open ${path}`)),
  write: (_disk, format) => Promise.reject(new Error(`this job writes no images, and wants to write ${format}`)),
};

/** A small appliance, for jobs that need one. */
export const sampleAppliance: Appliance = {
  ...sampleFacts,
  hostname: 'sample',
  disk: { size: 1024 * 1024 * 1024, partitions: [{ label: 'root', filesystem: 'ext4', mount: '/' }] },
  source: { kind: 'packages', distribution: 'debian', suite: 'bookworm', components: ['main'] },
  packages: [],
  kernelArguments: [],
  locale: 'C.UTF-8',
  timezone: 'Etc/UTC',
  files: [],
  scripts: [],
  users: [],
  secrets: [],
};
