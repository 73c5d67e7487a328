import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Appliance,
  type Booter,
  type BootJob,
  defineConverter,
  DefinitionError,
  type DiskConverter,
  EnvironmentError,
  type Event,
  GuestError,
  type Provisioner,
  type ProvisionJob,
  rawDisk,
} from '@polyvisor/core';
import type { Definition } from '@polyvisor/definition';
import { memoryDisk, sampleFacts } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { build } from './build.js';
import type { BuildOptions } from './options.js';

const MEBIBYTE = 2 ** 20;
const SECRET = 'correct horse battery staple';

/** A format that is the disk itself, as raw is. */
function fakeConverter(
  id: string,
  change: { fail?: string; driver?: string | undefined; onWrite?: () => void } = {},
): DiskConverter {
  const driver = 'driver' in change ? change.driver : id;
  const definition = {
    id,
    extension: `.${id}`,
    summary: 'the disk itself',
    capabilities: {
      order: 'random' as const,
      maxSize: 64 * MEBIBYTE,
      sizeMultiple: 512,
      compression: [],
      hypervisors: [],
    },
    options: z.strictObject({ level: z.number().default(1).describe('of anything') }),
    detect: () => Promise.resolve('maybe' as const),
    create: (job: {
      readonly size: number;
      readonly sink: { write(bytes: Uint8Array, offset: number): Promise<void>; end(size: number): Promise<void> };
    }) =>
      Promise.resolve({
        size: job.size,
        write: async ({ bytes, offset }: { bytes: Uint8Array; offset: number }) => {
          change.onWrite?.();
          if (change.fail === 'write') throw new Error('write fails');
          await job.sink.write(bytes, offset);
        },
        finish: async () => {
          if (change.fail === 'finish') throw new Error('finish fails');
          await job.sink.end(job.size);
        },
        abort: () => Promise.resolve(),
      }),
    open: (file: Parameters<DiskConverter['open']>[0]) =>
      Promise.resolve({ disk: rawDisk(file, file.size), facts: {} }),
  };
  return defineConverter(
    driver === undefined
      ? definition
      : {
          ...definition,
          blockNode: (file: { readonly path: string }) =>
            Promise.resolve({ driver, file: { driver: 'file', filename: file.path } }),
        },
  );
}

describe('build', () => {
  let root: string;
  let events: Event[];
  let trace: string[];
  let definition: Definition;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'build-test-'));
    events = [];
    trace = [];
    await mkdir(join(root, 'definition'));
    await writeFile(join(root, 'definition', 'definition.yaml'), 'name: sample\n');
    const path = join(root, 'definition', 'definition.yaml');
    definition = {
      path,
      file: path,
      folder: join(root, 'definition'),
      appliance: appliance(),
      targets: [],
      provisioner: undefined,
      sealKeep: ['mail'],
      bootCheck: { expect: 'login:', timeout: 1000 },
      variables: { color: 'blue' },
      references: [{ path, name: 'definition.yaml' }],
      issueAt: (_path, message) => ({ file: path, message }),
    };
  });

  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  function appliance(): Appliance {
    return {
      ...sampleFacts,
      hostname: 'sample',
      disk: { size: 8 * MEBIBYTE, partitions: [] },
      source: { kind: 'packages', distribution: 'debian', suite: 'bookworm', components: ['main'] },
      packages: [],
      kernelArguments: [],
      locale: 'C.UTF-8',
      timezone: 'UTC',
      files: [],
      scripts: [],
      users: [],
      secrets: [SECRET],
    };
  }

  function fakeProvisioner(
    change: Partial<Provisioner> & { during?: (job: ProvisionJob) => Promise<void> | void } = {},
  ): Provisioner {
    const { during, ...members } = change;
    return {
      id: 'fake',
      summary: 'a disk from memory',
      capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], sources: ['packages'] },
      options: z.strictObject({}),
      probe: () => {
        trace.push('probe provisioner');
        return Promise.resolve({ usable: true, version: '1.2' });
      },
      estimate: () => Promise.resolve(MEBIBYTE),
      provision: async (job) => {
        trace.push('provision');
        await writeFile(join(job.workDir, 'rootfs'), 'temporary');
        await during?.(job);
        return {
          disk: memoryDisk(8 * MEBIBYTE, [{ offset: 4096, bytes: Buffer.from('guest data') }]),
          inventory: { linux: '6.1', bash: '5.2' },
          [Symbol.asyncDispose]: () => {
            trace.push('release disk');
            return Promise.resolve();
          },
        };
      },
      ...members,
    };
  }

  function fakeBooter(change: { boot?: (job: BootJob) => Promise<void> | void; probe?: Booter['probe'] } = {}): Booter {
    return {
      id: 'fake-booter',
      summary: 'boots nothing',
      capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], buses: ['virtio'] },
      probe: change.probe ?? (() => Promise.resolve({ usable: true, version: '7.2' })),
      boot: async (job) => {
        trace.push(`boot ${job.node.driver} ${job.firmware}`);
        await writeFile(job.consoleLog, 'console');
        await change.boot?.(job);
        return { duration: 10, matched: 'login:', acceleration: 'none' };
      },
    };
  }

  function optionsFor(change: Partial<BuildOptions> = {}): BuildOptions {
    return {
      definition,
      provisioner: fakeProvisioner(),
      provisionerOptions: undefined,
      targets: [
        { converter: fakeConverter('raw'), options: undefined },
        { converter: fakeConverter('one'), options: { level: 2 } },
        { converter: fakeConverter('two'), options: undefined },
      ],
      booter: fakeBooter(),
      outputDir: join(root, 'output', 'sample'),
      cacheDir: join(root, 'cache'),
      workRoot: join(root, 'work'),
      force: false,
      offline: false,
      images: { open: () => Promise.reject(new Error('none')), write: () => Promise.reject(new Error('none')) },
      verify: true,
      epoch: 1_700_000_000,
      versions: { polyvisor: '0.1.0' },
      onError: 'cleanup',
      emit: (event) => {
        events.push(event);
        if (event.type === 'stage-start') trace.push(`stage ${event.stage}`);
      },
      signal: new AbortController().signal,
      ...change,
    };
  }

  const list = (...path: string[]) =>
    readdir(join(root, ...path)).then(
      (names) => names.sort(),
      () => [],
    );

  /** Nothing temporary and nothing under a final name; the cache may hold logs. */
  async function expectNothingLeft(): Promise<void> {
    expect(await list('output')).toEqual([]);
    expect(await list('work')).toEqual([]);
  }

  it('goes through its stages in order and leaves one complete directory', async () => {
    const result = await build(optionsFor());
    expect(trace.filter((step) => !step.startsWith('boot '))).toEqual([
      'stage preflight',
      'probe provisioner',
      'stage provision',
      'provision',
      'stage export',
      ...['raw', 'one', 'two'].map((id) => `stage verify ${id}`),
      'stage checksum',
      'release disk',
      'stage boot one bios',
      'stage boot two uefi',
      'stage commit',
    ]);
    expect(await list('output')).toEqual(['sample']);
    expect(await list('work')).toEqual([]);
    expect(await list('output', 'sample')).toEqual([
      'SHA256SUMS',
      'build-report.json',
      'logs',
      'manifest.json',
      'sample-1.0-x86_64-one.one',
      'sample-1.0-x86_64-raw.raw',
      'sample-1.0-x86_64-two.two',
    ]);
    expect(await list('output', 'sample', 'logs')).toEqual([
      'build.log',
      'console-one-bios-1.log',
      'console-two-uefi-2.log',
    ]);
    expect(result.artifacts.map(({ path }) => path)).toEqual(
      ['raw.raw', 'one.one', 'two.two'].map((end) => join(root, 'output', 'sample', `sample-1.0-x86_64-${end}`)),
    );
    expect(events.filter(({ type }) => type === 'artifact')).toHaveLength(3);
    expect(await list('cache', 'logs')).toEqual([]);
  });

  it('writes checksums that sha256sum accepts, and a manifest that names inputs and outputs', async () => {
    const { artifacts } = await build(optionsFor());
    const sums = await readFile(join(root, 'output', 'sample', 'SHA256SUMS'), 'utf8');
    for (const { sha256, path } of artifacts) expect(sums).toContain(`${sha256}  ${path.split('/').pop() ?? ''}\n`);
    expect(sums).toMatch(/^[0-9a-f]{64} {2}manifest\.json$/m);
    const manifest = JSON.parse(await readFile(join(root, 'output', 'sample', 'manifest.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(manifest).toMatchObject({
      schema: 1,
      appliance: { name: 'sample', version: '1.0' },
      tools: { polyvisor: '0.1.0', fake: '1.2', 'fake-booter': '7.2' },
      definition: { variables: { color: 'blue' }, inputs: [{ path: 'definition.yaml', size: 13 }] },
      seal: { keep: ['mail'] },
      inventory: { bash: '5.2', linux: '6.1' },
      artifacts: [
        { format: 'raw', virtualSize: 8 * MEBIBYTE, options: {} },
        { format: 'one', options: { level: 2 } },
        { format: 'two' },
      ],
    });
    const report = JSON.parse(await readFile(join(root, 'output', 'sample', 'build-report.json'), 'utf8')) as {
      boots: unknown[];
      durations: object;
    };
    expect(report.boots).toHaveLength(2);
    expect(Object.keys(report.durations)).toEqual(expect.arrayContaining(['provision', 'export', 'checksum']));
  });

  it('gives the same artefacts and the same manifest twice', async () => {
    await build(optionsFor());
    await build(optionsFor({ outputDir: join(root, 'output', 'again') }));
    const names = (await list('output', 'sample')).filter((name) => name !== 'logs' && name !== 'build-report.json');
    expect(names).toHaveLength(5);
    for (const name of names) {
      const [first, second] = await Promise.all(
        ['sample', 'again'].map((run) => readFile(join(root, 'output', run, name))),
      );
      expect(first?.equals(second ?? Buffer.alloc(0)), name).toBe(true);
    }
  });

  it('seals with the operations that the definition does not keep, on equal identities', async () => {
    const jobs: ProvisionJob[] = [];
    const provisioner = fakeProvisioner({ during: (job) => void jobs.push(job) });
    await build(optionsFor({ provisioner }));
    await build(optionsFor({ provisioner, outputDir: join(root, 'output', 'again') }));
    expect(jobs[0]?.seal).toContain('operation=machine-id');
    expect(jobs[0]?.seal).not.toContain('operation=mail');
    expect(jobs[0]?.identity.time).toBe(1_700_000_000);
    expect(jobs[0]?.identity.seed).toBe(jobs[1]?.identity.seed);
  });

  it('hides secrets in events, in the log and in the manifest', async () => {
    const provisioner = fakeProvisioner({
      during: ({ emit }) => emit({ type: 'log', level: 'info', scope: 'fake', message: `the password is ${SECRET}` }),
    });
    await build(optionsFor({ provisioner, versions: { polyvisor: SECRET } }));
    expect(JSON.stringify(events)).not.toContain(SECRET);
    for (const name of ['logs/build.log', 'manifest.json', 'build-report.json']) {
      expect(await readFile(join(root, 'output', 'sample', name), 'utf8')).not.toContain(SECRET);
    }
    expect(await readFile(join(root, 'output', 'sample', 'logs', 'build.log'), 'utf8')).toContain(
      'the password is ***',
    );
  });

  it('logs what plugins say beside the build, once, without secrets', async () => {
    const listeners = new Set<(event: Event) => void>();
    const emit = (event: Event) => listeners.forEach((listener) => listener(event));
    const provisioner = fakeProvisioner({
      during: () => emit({ type: 'log', level: 'info', scope: 'plugin', message: `seal: reset ${SECRET}` }),
    });
    const observe = (listener: (event: Event) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    };
    await build(optionsFor({ provisioner, emit, observe }));
    const log = await readFile(join(root, 'output', 'sample', 'logs', 'build.log'), 'utf8');
    const lines = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { message?: string; title?: string; type: string; at: number });
    expect(lines.filter(({ message }) => message === 'seal: reset ***')).toHaveLength(1);
    expect(
      lines.filter(({ type, title }) => type === 'stage-start' && title === 'making the disk with fake'),
    ).toHaveLength(1);
    expect(lines.every(({ at }) => typeof at === 'number')).toBe(true);
    expect(listeners.size).toBe(0);
  });

  it('numbers a format that is exported twice', async () => {
    const one = fakeConverter('one');
    await build(
      optionsFor({
        targets: [
          { converter: one, options: {} },
          { converter: one, options: { level: 3 } },
        ],
      }),
    );
    expect(await list('output', 'sample')).toEqual(
      expect.arrayContaining(['sample-1.0-x86_64-one.one', 'sample-1.0-x86_64-one-2.one']),
    );
  });

  describe('preflight', () => {
    it('tells all problems at once, before anything is touched', async () => {
      await mkdir(join(root, 'output', 'sample'), { recursive: true });
      await writeFile(join(root, 'output', 'sample', 'precious'), '');
      const error = await build(
        optionsFor({
          definition: {
            ...definition,
            appliance: { ...appliance(), architecture: 'arm64', disk: { size: 128 * MEBIBYTE, partitions: [] } },
          },
          provisioner: fakeProvisioner({
            probe: () => Promise.resolve({ usable: false, reason: 'no mmdebstrap', hint: 'install it' }),
            estimate: () => Promise.resolve(2 ** 60),
          }),
          targets: [{ converter: fakeConverter('one'), options: { colour: 'red' } }],
          boot: { mode: 'all' },
        }),
      ).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(EnvironmentError);
      const { message, code } = error as EnvironmentError;
      expect(code).toBe('preflight-failed');
      for (const part of [
        'colour',
        'at most 67108864',
        'arm64',
        'exists',
        'no mmdebstrap',
        'install it',
        'the build needs up to',
        'cannot be booted',
      ])
        expect(message).toContain(part);
      expect(trace).not.toContain('provision');
      expect(await list()).toEqual(['definition', 'output']);
      expect(await list('output', 'sample')).toEqual(['precious']);
    });

    it('throws a single problem as it is', async () => {
      await expect(
        build(optionsFor({ targets: [{ converter: fakeConverter('one'), options: { level: 'x' } }] })),
      ).rejects.toMatchObject({ code: 'options-invalid' });
      await expect(build(optionsFor({ targets: [] }))).rejects.toBeInstanceOf(DefinitionError);
    });

    it('makes a DefinitionError of problems that are all in the definition', async () => {
      const one = fakeConverter('one');
      const error = await build(
        optionsFor({
          targets: [
            { converter: one, options: { a: 1 } },
            { converter: one, options: { b: 1 } },
          ],
        }),
      ).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(DefinitionError);
      expect((error as DefinitionError).issues).toHaveLength(2);
    });

    it('skips an automatic boot check with a warning where nothing can boot, and insists on one that was asked for', async () => {
      const booter = fakeBooter({
        probe: () => Promise.resolve({ usable: false, reason: 'no emulator', hint: 'install one' }),
      });
      const result = await build(optionsFor({ booter }));
      expect(result.bootSkipped).toContain('no emulator');
      expect(events).toContainEqual(
        expect.objectContaining({
          type: 'log',
          level: 'warn',
          message: expect.stringContaining('install one') as string,
        }),
      );
      await expect(build(optionsFor({ booter, boot: { mode: 'all' }, force: true }))).rejects.toMatchObject({
        code: 'boot-check-impossible',
      });
    });
  });

  describe('replaces an output', () => {
    it('only when forced', async () => {
      await build(optionsFor());
      await expect(build(optionsFor())).rejects.toMatchObject({ code: 'output-exists' });
      const before = (await stat(join(root, 'output', 'sample'))).ino;
      await build(optionsFor({ force: true }));
      expect((await stat(join(root, 'output', 'sample'))).ino).not.toBe(before);
      expect(await list('output')).toEqual(['sample']);
    });

    it('never when no build made it', async () => {
      await mkdir(join(root, 'output', 'sample'), { recursive: true });
      await writeFile(join(root, 'output', 'sample', 'thesis.txt'), '');
      await expect(build(optionsFor({ force: true }))).rejects.toMatchObject({ code: 'output-foreign' });
      expect(await list('output', 'sample')).toEqual(['thesis.txt']);
    });

    it('not when the new build fails', async () => {
      await build(optionsFor());
      const manifest = await readFile(join(root, 'output', 'sample', 'manifest.json'));
      await expect(
        build(
          optionsFor({ force: true, targets: [{ converter: fakeConverter('one', { fail: 'finish' }), options: {} }] }),
        ),
      ).rejects.toThrow('finish fails');
      expect(await readFile(join(root, 'output', 'sample', 'manifest.json'))).toEqual(manifest);
      expect(await list('output')).toEqual(['sample']);
    });
  });

  const failing = (message: string) => () => Promise.reject(new GuestError('test', message));

  describe('leaves nothing but the log', () => {
    it.each([
      ['provision', () => optionsFor({ provisioner: fakeProvisioner({ during: failing('it failed') }) })],
      ['write', () => optionsFor({ targets: [{ converter: fakeConverter('one', { fail: 'write' }), options: {} }] })],
      ['finish', () => optionsFor({ targets: [{ converter: fakeConverter('one', { fail: 'finish' }), options: {} }] })],
      ['boot', () => optionsFor({ booter: fakeBooter({ boot: failing('it failed') }) })],
      [
        'commit',
        () => {
          // The output appears while the build runs.
          const provisioner = fakeProvisioner({
            during: async () => {
              await mkdir(join(root, 'output', 'sample'), { recursive: true });
              await writeFile(join(root, 'output', 'sample', 'other'), '');
            },
          });
          return optionsFor({ provisioner });
        },
      ],
    ])('when the %s fails', async (step, options) => {
      await expect(build(options())).rejects.toThrow(/fail|exists/);
      if (step === 'commit') {
        expect(await list('output', 'sample')).toEqual(['other']);
        await rm(join(root, 'output', 'sample'), { recursive: true });
      }
      await expectNothingLeft();
      expect(trace.filter((entry) => entry === 'release disk')).toHaveLength(step === 'provision' ? 0 : 1);
      const [directory] = await list('cache', 'logs');
      expect(await readFile(join(root, 'cache', 'logs', directory ?? '', 'build.log'), 'utf8')).toContain('"note"');
      // The next build works, and takes over.
      await build(optionsFor());
    });
  });

  describe('cancelled, leaves nothing at all', () => {
    it.each(['stage preflight', 'provision', 'stage export', 'stage checksum', 'boot one bios', 'stage commit'])(
      'at %s',
      async (point) => {
        const cancel = new AbortController();
        const at = (step: string) => {
          if (step === point) cancel.abort(new Error('enough'));
        };
        const boot = async ({ node, firmware, signal }: BootJob) => {
          at(`boot ${node.driver} ${firmware}`);
          await Promise.resolve();
          signal.throwIfAborted();
        };
        const options = optionsFor({
          provisioner: fakeProvisioner({
            during: (job) => {
              at('provision');
              job.signal.throwIfAborted();
            },
          }),
          booter: fakeBooter({ boot }),
          emit: (event) => {
            if (event.type === 'stage-start') at(`stage ${event.stage}`);
          },
          onError: 'keep',
          signal: cancel.signal,
        });
        await expect(build(options)).rejects.toThrow('enough');
        await expectNothingLeft();
        expect(await list('cache', 'logs')).toEqual([]);
      },
    );

    it('before it starts', async () => {
      await expect(build(optionsFor({ signal: AbortSignal.abort(new Error('enough')) }))).rejects.toThrow('enough');
      expect(await list()).toEqual(['definition']);
    });
  });

  describe('keeps what it made, when wished', () => {
    it('on every error', async () => {
      await expect(
        build(optionsFor({ onError: 'keep', booter: fakeBooter({ boot: failing('it failed') }) })),
      ).rejects.toThrow('it failed');
      expect(await list('work')).toHaveLength(1);
      expect(await list('output')).toHaveLength(1);
      const kept = events.find((event) => event.type === 'log' && event.message.startsWith('kept'));
      expect(kept).toMatchObject({
        message: expect.stringContaining(join(root, 'work', (await list('work'))[0] ?? '')) as string,
      });
    });

    it.each(['keep', 'cleanup'] as const)('on the answer: %s', async (answer) => {
      const asked: unknown[] = [];
      const ask = (error: unknown) => {
        asked.push(error);
        return Promise.resolve(answer);
      };
      await expect(
        build(optionsFor({ onError: 'ask', ask, provisioner: fakeProvisioner({ during: failing('it failed') }) })),
      ).rejects.toThrow('it failed');
      expect(asked).toHaveLength(1);
      expect(await list('work')).toHaveLength(answer === 'keep' ? 1 : 0);
    });
  });

  describe('boot check', () => {
    it('ends the other boots when one fails, and tells that one', async () => {
      const cancelled: string[] = [];
      const boot = async ({ node, signal }: BootJob) => {
        if (node.driver === 'two') throw new GuestError('boot-timeout', 'two does not boot');
        await new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            cancelled.push(node.driver);
            reject(new Error('cancelled'));
          });
        });
      };
      await expect(build(optionsFor({ booter: fakeBooter({ boot }) }))).rejects.toThrow('two does not boot');
      expect(cancelled).toEqual(['one']);
    });

    it('notices a booter that writes to the image', async () => {
      const boot = async ({ path }: BootJob) => writeFile(path, 'changed', { flag: 'r+' });
      await expect(build(optionsFor({ booter: fakeBooter({ boot }) }))).rejects.toMatchObject({
        code: 'boot-changed-image',
      });
      await expectNothingLeft();
    });

    it("uses the definition's text and limit, and the command's before these", async () => {
      const jobs: BootJob[] = [];
      const booter = fakeBooter({ boot: (job) => void jobs.push(job) });
      await build(
        optionsFor({ booter, definition: { ...definition, bootCheck: { expect: 'ready (1)', timeout: 7 } } }),
      );
      expect(jobs[0]).toMatchObject({ timeout: 7, cpus: 1 });
      expect(jobs[0]?.expect.test('ready (1)')).toBe(true);
      await build(optionsFor({ booter, force: true, boot: { expect: /other/, timeout: 9 } }));
      expect(jobs.at(-1)).toMatchObject({ timeout: 9, expect: /other/ });
    });

    it('is left out when the definition says so', async () => {
      const { boots, bootSkipped } = await build(optionsFor({ definition: { ...definition, bootCheck: undefined } }));
      expect(boots).toEqual([]);
      expect(bootSkipped).toBeUndefined();
    });
  });
});
