import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AnswerFile,
  createIdentity,
  type DiskSourceImage,
  type Event,
  type FailureScene,
  type GuestAccess,
  type InstallerSource,
  type ProvisionJob,
  type Source,
} from '@polyvisor/core';
import { rawImages, sampleAppliance } from '@polyvisor/testkit';
import { z } from 'zod';
import { machineProvisioner } from '../provisioner.js';
import { makeGuestRoot } from './fake-ssh.test-support.js';
import {
  fakeCapabilities,
  FakeHypervisor,
  type FakeGuest,
  type FakeOptions,
  type GuestProgram,
} from './fake-hypervisor.test-support.js';

export const SIZE = 4 * 1024 * 1024;

/** Directories, files and a job for one run after another, all below one directory. */
export class Scenario implements AsyncDisposable {
  readonly directory: string;
  readonly events: Event[] = [];
  readonly failures: { readonly error: unknown; readonly scene: FailureScene }[] = [];
  hypervisor = new FakeHypervisor({ program: () => Promise.resolve() });

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<Scenario> {
    const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    const scenario = new Scenario(directory);
    for (const name of ['work', 'cache', 'logs', 'guest', 'netboot']) await mkdir(join(directory, name));
    await makeGuestRoot(scenario.path('guest'));
    await writeFile(scenario.path('netboot/linux'), 'a kernel');
    await writeFile(scenario.path('netboot/initrd.gz'), 'an initrd');
    await writeFile(scenario.path('netboot/pxelinux.0'), 'a boot loader');
    await writeFile(scenario.path('answers.cfg'), 'user <%= ssh-user %>\nkey <%= ssh-key %>\n');
    return scenario;
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  get access(): GuestAccess {
    return { user: 'root', port: 22, timeout: 10_000, become: 'none' };
  }

  installer(changes: Partial<InstallerSource> = {}): InstallerSource {
    return {
      kind: 'installer',
      medium: {
        kind: 'netboot',
        directory: this.path('netboot'),
        kernel: 'linux',
        initrd: 'initrd.gz',
        bootFiles: { bios: 'pxelinux.0' },
      },
      start: 'auto',
      kernelArguments: ['url=<%= answers %>/answers.cfg', 'host=<%= hostname %>'],
      typing: { wait: 1, command: [], layout: 'us' },
      answers: {
        http: [this.answerFile()],
      },
      access: this.access,
      limits: { fetch: 5000, install: 10_000 },
      ...changes,
    };
  }

  job(
    source: Source,
    changes: Partial<ProvisionJob> = {},
    appliance: Partial<ProvisionJob['appliance']> = {},
  ): ProvisionJob {
    return {
      appliance: {
        ...sampleAppliance,
        firmware: ['bios'],
        disk: { ...sampleAppliance.disk, size: SIZE },
        source,
        ...appliance,
      },
      options: {},
      seal: 'echo sealed',
      identity: createIdentity('test'),
      workDir: this.path('work'),
      cacheDir: this.path('cache'),
      offline: false,
      resume: false,
      logDir: this.path('logs'),
      images: rawImages,
      onFailure: (error, scene) => Promise.resolve(void this.failures.push({ error, scene })),
      emit: (event) => void this.events.push(event),
      signal: new AbortController().signal,
      ...changes,
    };
  }

  answerFile(): AnswerFile {
    return { name: 'answers.cfg', from: this.path('answers.cfg'), template: true, variables: {} };
  }

  async existingDisk(changes: Partial<DiskSourceImage> = {}): Promise<{ source: DiskSourceImage; path: string }> {
    const path = this.path('existing.img');
    await writeFile(path, 'an existing system');
    await truncate(path, SIZE);
    const image = { locations: [path], checksum: 'none' };
    return {
      source: { kind: 'disk', image, format: 'raw', answers: { http: [] }, access: this.access, ...changes },
      path,
    };
  }

  /** Stages that were finished, in order. */
  stages(): string[] {
    return this.events.flatMap((event) => (event.type === 'stage-done' ? [event.stage] : []));
  }

  log(): string {
    return this.events
      .flatMap((event) => (event.type === 'log' ? [`${event.level}: ${event.message}`] : []))
      .join('\n');
  }

  /** Base address of the answers, as the log has it. */
  answersAddress(): string {
    return /http:\S+?(?=: )/.exec(this.log())?.[0] ?? '';
  }

  /** Resolves when there is such a file. */
  async appears(...parts: string[]): Promise<void> {
    while (!existsSync(this.path(...parts))) await sleep(5);
  }

  /** Provisions in an empty work directory. */
  async run(
    job: ProvisionJob,
    options: FakeOptions | GuestProgram,
    capabilities: Partial<typeof fakeCapabilities> = {},
  ) {
    await rm(job.workDir, { recursive: true, force: true });
    await mkdir(job.workDir);
    this.hypervisor = new FakeHypervisor(typeof options === 'function' ? { program: options } : options);
    const provisioner = machineProvisioner({
      id: 'fake',
      summary: 'machines that are functions',
      architectures: ['x86_64'],
      firmware: ['bios', 'uefi'],
      options: z.strictObject({ chipset: z.string().default('old'), nic: z.string().default('fast') }),
      capabilities: { ...fakeCapabilities, ...capabilities },
      probe: () => Promise.resolve({ usable: true, version: '1' }),
      hypervisor: () => this.hypervisor,
    });
    return provisioner.provision(job);
  }

  /** A guest that installs itself from its answers, and is then reached by SSH. */
  program(changes: { readonly install?: GuestProgram; readonly boot?: GuestProgram } = {}): GuestProgram {
    const { install = (guest) => this.installs(guest), boot = (guest) => this.boots(guest) } = changes;
    return (guest) => (guest.start.kind === 'disk' ? boot(guest) : install(guest));
  }

  async installs(guest: FakeGuest): Promise<void> {
    await guest.say('installing');
    const url = guest.start.kind === 'kernel' ? guest.start.arguments[0]?.replace('url=', '') : undefined;
    const answers = url === undefined ? '' : await guest.fetch(url);
    await guest.write(`installed with ${answers}`);
    guest.stop({ kind: 'restarted', words: '' });
  }

  /** Lets in the key that stands on its disk, or that its firmware names. */
  async boots(guest: FakeGuest, wait?: (guest: FakeGuest) => Promise<void>): Promise<void> {
    await guest.say('system starting');
    await writeFile(this.path('guest/root/.ssh/authorized_keys'), (await this.keyLines(guest)).join('\n'));
    await guest.ssh({ root: this.path('guest'), keys: await this.keys(guest) });
    await (wait ?? (() => guest.button()))(guest);
    guest.stop({ kind: 'off', words: '' });
  }

  /** Public keys that let somebody in. */
  async keyLines(guest: FakeGuest): Promise<string[]> {
    const named = guest.spec.firmwareStrings.map((text) =>
      Buffer.from(text.split('=').slice(1).join('='), 'base64').toString(),
    );
    return [await guest.read(), ...named].flatMap((text) => /ssh-ed25519 .*/.exec(text)?.[0] ?? []);
  }

  async keys(guest: FakeGuest): Promise<string[]> {
    return (await this.keyLines(guest)).flatMap((line) => line.split(' ')[1] ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
