import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
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
  type Source,
} from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestContext, type TestContext } from './context.js';
import { rawImages } from './raw-images.js';
import { sampleAppliance, sampleSources } from './sample-appliance.js';

export interface ProvisionerSuite {
  /** An appliance that the provisioner can make; only its plain parts are used unless `tools` make a whole disk. */
  readonly appliance?: Appliance | (() => Promise<Appliance>);
  /** Default: raw disks alone. */
  readonly images?: Images;
  /** Changes what each job is called with. */
  readonly job?: Partial<ProvisionJob>;
  /**
   * Prepares a directory with fake tools (see `fakeTool`) that is the whole PATH of the provisioner. With them, each
   * command is made to fail in turn, and the job to be cancelled at each.
   */
  readonly tools?: (directory: string) => Promise<void>;
}

/** Everything that must hold for every provisioner, found out without the real tools. */
export function describeProvisioner(
  make: (context: PluginContext) => Provisioner,
  { appliance: named = sampleAppliance, images = rawImages, job: changesToAll = {}, tools }: ProvisionerSuite = {},
): void {
  describe('the provisioner keeps its contract', () => {
    let directory = '';
    let path = '';
    let appliance: Appliance;
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
      path = join(directory, 'bin');
      for (const name of ['bin', 'work', 'cache', 'logs']) await mkdir(join(directory, name));
      appliance = typeof named === 'function' ? await named() : named;
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
      resume: false,
      logDir: join(directory, 'logs'),
      images,
      emit: () => undefined,
      signal: new AbortController().signal,
      ...changesToAll,
      ...changes,
    });

    it('describes itself', () => {
      const provisioner = make(createTestContext());
      expect(provisioner.id).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(provisioner.summary.length).toBeGreaterThan(0);
      expect(provisioner.capabilities.architectures.length).toBeGreaterThan(0);
      expect(provisioner.capabilities.firmware.length).toBeGreaterThan(0);
      const { sources } = provisioner.capabilities;
      expect(sources.length).toBeGreaterThan(0);
      expect(new Set(sources).size).toBe(sources.length);
    });

    it('takes some source of each kind that it names', () => {
      const provisioner = make(createTestContext());
      for (const kind of provisioner.capabilities.sources) {
        const source = sampleSources[kind];
        expect(provisioner.refusal?.(source, { ...appliance, source }), kind).toBeUndefined();
      }
    });

    it('refuses a source of any other kind, says why, and touches nothing', async () => {
      const provisioner = make(createTestContext({ path }));
      for (const source of Object.values(sampleSources) as readonly Source[]) {
        if (provisioner.capabilities.sources.includes(source.kind)) continue;
        const job = jobFor({ appliance: { ...appliance, source } });
        await expect(provisioner.provision(job)).rejects.toSatisfy(
          (error) => errorKind(error) === 'definition',
          `a DefinitionError for a source of the kind ${source.kind}`,
        );
        expect(await readdir(join(directory, 'work'))).toEqual([]);
      }
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

    it('fails for the lack of its tools, and leaves nothing that runs', async () => {
      const context = createTestContext({ path });
      await expect(make(context).provision(jobFor())).rejects.toSatisfy(
        (error) => errorKind(error) === 'environment',
        'an EnvironmentError, as `context.run` rejects with',
      );
      expect(context.running()).toEqual([]);
    });

    it('discards what is not there', async () => {
      const { discard } = make(createTestContext());
      if (discard === undefined) return;
      const none = new AbortController().signal;
      for (const workDir of [join(directory, 'work'), join(directory, 'missing')]) {
        // Where the computer lacks what it takes, there is nothing to discard either.
        await discard(workDir, none).catch((error: unknown) => expect(errorKind(error)).toBe('environment'));
      }
    });

    if (tools === undefined) return;

    const emptyWork = async () => {
      await rm(join(directory, 'work'), { recursive: true });
      await mkdir(join(directory, 'work'));
    };

    const complete = async (context: TestContext, job: ProvisionJob) => {
      const disk = await make(context).provision(job);
      await disk[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose](); // a second time does no harm
      return context.commands.length;
    };

    it('makes a disk, and releases it twice without harm', async () => {
      await tools(path);
      const context = createTestContext({ path });
      const before = await originalOf(appliance);
      expect(await complete(context, jobFor())).toBeGreaterThan(0);
      expect(context.running()).toEqual([]);
      expect(await originalOf(appliance)).toEqual(before);
    });

    it('cleans up after a failure of each of its commands', async () => {
      await tools(path);
      const count = await complete(createTestContext({ path }), jobFor());
      await emptyWork();
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
        await emptyWork();
      }
      // What a failed run left in the cache does not stand in the way of the next.
      await complete(createTestContext({ path }), jobFor());
    }, 120_000);

    it('ends at once when it is cancelled during each of its commands', async () => {
      await tools(path);
      const count = await complete(createTestContext({ path }), jobFor());
      await emptyWork();
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
        await emptyWork();
      }
    }, 120_000);
  });
}

/** Digests of the files that a disk is made from: none of them may change. */
async function originalOf({ source }: Appliance): Promise<readonly string[]> {
  if (source.kind !== 'disk') return [];
  const paths = source.image.locations.filter((location) => location.startsWith('/'));
  return Promise.all(
    paths.map(async (path) =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ),
  );
}
