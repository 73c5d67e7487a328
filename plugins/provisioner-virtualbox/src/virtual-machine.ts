import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EnvironmentError, type Key, type Machine, type Start, type StopReason } from '@polyvisor/core';
import { type Configuration, forwardingName, forwardingRule } from './configuration.js';
import { removeHome } from './home.js';
import { batchesOf } from './keyboard.js';
import { launch, type Launcher, type Running } from './launch.js';
import { FORWARDING_HOST, type Ports } from './ports.js';
import { SerialPump } from './serial-pump.js';
import { watch } from './watch.js';
import { pause, settlesWithin, unlessAborted } from './time.js';

/** What a machine is made of, by `makeMachine`. */
export interface Parts extends Launcher {
  readonly workDir: string;
  readonly configuration: Configuration;
  readonly ports: Ports;
}

/** How long cutting the power may take before the process is killed, in milliseconds. */
const POWER_LIMIT = 15_000;

/** How often another port is tried where one was taken while the machine started. */
const PORT_TRIES = 5;

const NEVER = new AbortController().signal;

/** A machine of VirtualBox, alone in its home. */
export class VirtualMachine implements Machine {
  readonly #parts: Parts;
  readonly #forwarding: Map<number, number>;
  #running: Running | undefined;
  #serial: SerialPump | undefined;
  #stopped: Promise<StopReason> = Promise.resolve({ kind: 'off', words: '' });
  #isEnding = false;
  #disposal: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#forwarding = new Map(parts.configuration.forwarding);
  }

  async start(start: Start, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (start.kind !== 'disk')
      throw new EnvironmentError(
        'start-unsupported',
        `VirtualBox starts machines from disks and media, not from a ${start.kind}`,
      );
    if (this.#running !== undefined || this.#disposal !== undefined)
      throw new EnvironmentError('machine-running', `the machine ${this.#name} runs already, or is gone`);
    const { configuration } = this.#parts;
    await this.#moveTakenPorts(signal);
    this.#isEnding = false;
    this.#serial = await SerialPump.start(configuration.serial, configuration.spec.serialLog);
    try {
      this.#running = await launch(this.#parts, signal);
    } catch (error) {
      await this.#serial[Symbol.asyncDispose]();
      throw error;
    }
    this.#stopped = this.#watch(this.#running, this.#serial);
    await this.#moveBusyPorts(signal);
  }

  async press(keys: readonly Key[], signal: AbortSignal, interval?: number): Promise<void> {
    signal.throwIfAborted();
    for (const { codes, pause: wait } of batchesOf(keys, interval)) {
      this.#expectRunning();
      // A command is not ended in its middle, which could leave a key down.
      await unlessAborted(this.#control('type on', ['keyboardputscancode', ...codes], NEVER), signal);
      await pause(wait, signal);
    }
  }

  async endpoint(guestPort: number): Promise<{ readonly host: string; readonly port: number }> {
    const port = this.#forwarding.get(guestPort);
    if (port === undefined) throw new RangeError(`port ${guestPort} of ${this.#name} is not forwarded`);
    return { host: FORWARDING_HOST, port };
  }

  async stopped(signal: AbortSignal): Promise<StopReason> {
    return unlessAborted(this.#stopped, signal);
  }

  async powerOff(mode: 'button' | 'hard', signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const running = this.#running;
    if (running === undefined) return;
    if (mode === 'button') return void (await this.#control('press the power button of', ['acpipowerbutton'], signal));
    await unlessAborted(this.#cutPower(running), signal);
  }

  async screenshot(signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    this.#expectRunning();
    const path = join(this.#parts.home.directory, 'screen.png');
    try {
      await this.#control('see the screen of', ['screenshotpng', path], signal);
      return await readFile(path);
    } finally {
      await rm(path, { force: true });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposal ??= this.#dispose());
  }

  get #name(): string {
    return this.#parts.configuration.spec.name;
  }

  async #dispose(): Promise<void> {
    if (this.#running !== undefined) await this.#cutPower(this.#running);
    await removeHome(this.#parts.home, this.#parts.workDir);
  }

  /** VirtualBox writes the end of the disk's image when it switches the machine off, and not when it is killed. */
  async #cutPower(running: Running): Promise<void> {
    this.#isEnding = true;
    const off = this.#control('switch off', ['poweroff'], NEVER).catch(() => undefined);
    await settlesWithin(POWER_LIMIT, Promise.race([running.ended, off.then(() => running.ended)]));
    if (this.#running === running) await running.kill();
    await this.#stopped;
  }

  #watch(running: Running, serial: SerialPump): Promise<StopReason> {
    const { manage, home, log } = this.#parts;
    const isOver = running.ended.then(async ({ killed }) => {
      await serial[Symbol.asyncDispose]();
      // By now commands are of no use any more.
      if (this.#running === running) this.#running = undefined;
      return killed;
    });
    return watch({
      isOver,
      isEnding: () => this.#isEnding,
      words: running.words,
      log,
      state: () => manage.state(home.uuid, NEVER),
    });
  }

  /** Before a start: the service only counts what is set, and says nothing about ports that others have. */
  async #moveTakenPorts(signal: AbortSignal): Promise<void> {
    for (const [guestPort, port] of this.#forwarding) {
      if (await this.#parts.ports.isFree(port)) continue;
      const modify = ['modifyvm', this.#parts.home.uuid];
      await this.#moveRule(guestPort, (...args) => [...modify, '--natpf1', ...args], signal);
    }
  }

  /** After a start: somebody else may have been quicker, which only the log tells. */
  async #moveBusyPorts(signal: AbortSignal): Promise<void> {
    const known = new Set<number>();
    for (let tries = 0; tries < PORT_TRIES; tries++) {
      const busy = new Set((await this.#parts.log.busyPorts()).filter((port) => !known.has(port)));
      const moved = [...this.#forwarding].filter(([, port]) => busy.has(port));
      if (moved.length === 0) return;
      for (const [guestPort, port] of moved) {
        known.add(port);
        const control = ['controlvm', this.#parts.home.uuid];
        await this.#moveRule(guestPort, (...args) => [...control, 'natpf1', ...args], signal);
      }
    }
    throw new EnvironmentError(
      'port-taken',
      `other programs took the ports for ${this.#name} on this computer ${PORT_TRIES} times in a row`,
      { hint: 'run it again; if it stays so, look at what listens on so many ports of 127.0.0.1 (`ss -tln`)' },
    );
  }

  async #moveRule(
    guestPort: number,
    command: (...args: string[]) => readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const { manage, ports } = this.#parts;
    const purpose = `forward port ${guestPort} of ${this.#name}`;
    const port = await ports.choose();
    await manage.run(purpose, command('delete', forwardingName(guestPort)), signal);
    await manage.run(purpose, command(forwardingRule(guestPort, port)), signal);
    this.#forwarding.set(guestPort, port);
  }

  #control(purpose: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const { manage, home } = this.#parts;
    return manage.run(`${purpose} ${this.#name}`, ['controlvm', home.uuid, ...args], signal);
  }

  #expectRunning(): void {
    if (this.#running === undefined)
      throw new EnvironmentError('machine-not-running', `the machine ${this.#name} does not run`);
  }
}
