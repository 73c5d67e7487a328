import { once } from 'node:events';
import { appendFile, open, readdir } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { deflateSync } from 'node:zlib';
import type {
  Acceleration,
  Hypervisor,
  HypervisorCapabilities,
  Key,
  Machine,
  MachineSpec,
  Start,
  StopReason,
} from '@polyvisor/core';
import { type FakeSsh, startFakeSsh, type FakeSshOptions } from './fake-ssh.test-support.js';

/** What a fake guest can do; its program is called at each start, and goes on until the machine stops. */
export interface FakeGuest {
  readonly spec: MachineSpec;
  readonly start: Start;
  /** Counts from 1, over all machines. */
  readonly starts: number;
  /** Fires when the machine stops. */
  readonly signal: AbortSignal;
  /** Names of the keys typed so far. */
  readonly keys: readonly string[];
  /** Says a line on the serial port. */
  say(line: string): Promise<void>;
  /** Gets what is at an address that the host's servers have in the guest. */
  fetch(address: string): Promise<string>;
  /** Writes to the start of the disk, behind everybody's back. */
  write(text: string): Promise<void>;
  /** What the disk starts with, up to the first zero. */
  read(): Promise<string>;
  ssh(options: FakeSshOptions): Promise<FakeSsh>;
  typed(keys: string): Promise<void>;
  /** Resolves when the power button is pressed. */
  button(): Promise<void>;
  /** Changes what the screen shows. */
  show(shade: number): void;
  stop(reason: StopReason): void;
}

export type GuestProgram = (guest: FakeGuest) => Promise<void>;

export interface FakeOptions {
  readonly program: GuestProgram;
  readonly slowdown?: number;
  /** Called before each call of the hypervisor or of a machine, in order; may wait or throw. */
  readonly before?: (call: string, signal?: AbortSignal) => Promise<void> | void;
}

export const fakeCapabilities: HypervisorCapabilities = {
  starts: ['disk', 'kernel', 'network'],
  diskFormat: 'raw',
  hostAddress: '10.0.2.2',
  firmwareStrings: true,
};

/** A hypervisor whose guests are functions. It has no process of its own, and its machines leave nothing. */
export class FakeHypervisor implements Hypervisor {
  readonly specs: MachineSpec[] = [];
  readonly calls: string[] = [];
  readonly alive = new Set<string>();
  readonly #options: FakeOptions;
  #starts = 0;

  constructor(options: FakeOptions) {
    this.#options = options;
  }

  async acceleration(): Promise<Acceleration> {
    await Promise.resolve();
    const { slowdown = 1 } = this.#options;
    return { description: slowdown === 1 ? 'imagination' : 'imagination (nothing real: tests)', slowdown };
  }

  async create(spec: MachineSpec, workDir: string, signal: AbortSignal): Promise<Machine> {
    await this.call('create', signal);
    if ((await readdir(workDir)).length > 0) throw new Error(`${workDir} is not empty`);
    this.specs.push(spec);
    this.alive.add(spec.name);
    return new FakeMachine(this, spec, this.#options.program);
  }

  async call(name: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.calls.push(name);
    await this.#options.before?.(name, signal);
    signal?.throwIfAborted();
  }

  nextStart(): number {
    return ++this.#starts;
  }
}

class FakeMachine implements Machine {
  readonly #hypervisor: FakeHypervisor;
  readonly #spec: MachineSpec;
  readonly #program: GuestProgram;
  readonly #servers: FakeSsh[] = [];
  readonly #keys: string[] = [];
  readonly #presses = new Set<() => void>();
  /** Like a real hypervisor's, its port is open while nothing in the guest listens. */
  readonly #forwarder = createServer((socket) => void this.#forward(socket));
  readonly #waiting = new Set<(reason: StopReason) => void>();
  #end = new AbortController();
  #stopped: StopReason | undefined = { kind: 'ended', words: '' };
  #shade = 0;
  #disposed = false;

  constructor(hypervisor: FakeHypervisor, spec: MachineSpec, program: GuestProgram) {
    this.#hypervisor = hypervisor;
    this.#spec = spec;
    this.#program = program;
  }

  async start(start: Start, signal: AbortSignal): Promise<void> {
    await this.#hypervisor.call(`start ${start.kind}`, signal);
    this.#stopped = undefined;
    this.#end = new AbortController();
    if (!this.#forwarder.listening) await once(this.#forwarder.listen(0, '127.0.0.1'), 'listening');
    const guest = this.#guest(start);
    // A failure of the program is one of the test; it shows as a guest that switched itself off.
    this.#program(guest).catch((error: unknown) => {
      if (!guest.signal.aborted) this.#stop({ kind: 'off', words: `the test's guest failed: ${String(error)}` });
    });
  }

  async press(keys: readonly Key[], signal: AbortSignal): Promise<void> {
    await this.#hypervisor.call('press', signal);
    if (this.#stopped !== undefined) throw new Error('keys for a machine that does not run');
    for (const { name, action } of keys) if (action !== 'up') this.#keys.push(name);
  }

  async endpoint(guestPort: number): Promise<{ host: string; port: number }> {
    await this.#hypervisor.call('endpoint');
    if (!this.#spec.forwardedPorts.includes(guestPort)) throw new Error(`port ${guestPort} is not forwarded`);
    return { host: '127.0.0.1', port: (this.#forwarder.address() as AddressInfo).port };
  }

  stopped(signal: AbortSignal): Promise<StopReason> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#stopped !== undefined) return Promise.resolve(this.#stopped);
    return new Promise((resolve, reject) => {
      const settle = (reason: StopReason) => {
        signal.removeEventListener('abort', abort);
        resolve(reason);
      };
      const abort = () => {
        this.#waiting.delete(settle);
        reject(signal.reason as Error);
      };
      this.#waiting.add(settle);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  async powerOff(mode: 'button' | 'hard', signal: AbortSignal): Promise<void> {
    await this.#hypervisor.call(`power off ${mode}`, signal);
    if (mode === 'hard') this.#stop({ kind: 'ended', words: '' });
    else for (const press of this.#presses) press();
  }

  async screenshot(signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    await Promise.resolve();
    if (this.#stopped !== undefined) throw new Error('a machine that does not run has no screen');
    return png(this.#shade);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#stop({ kind: 'ended', words: '' });
    for (const server of this.#servers) await server[Symbol.asyncDispose]();
    if (this.#forwarder.listening) await new Promise((resolve) => this.#forwarder.close(resolve));
    this.#hypervisor.alive.delete(this.#spec.name);
    await this.#hypervisor.call('dispose');
  }

  /** Holds what comes until something in the guest listens, so that tests do not wait for the next attempt. */
  async #forward(socket: Socket): Promise<void> {
    socket.on('error', () => undefined);
    while (this.#servers.length === 0 && this.#stopped === undefined && !socket.destroyed) await pause();
    const server = this.#servers.at(-1);
    if (server === undefined || this.#stopped !== undefined || socket.destroyed) {
      socket.destroy();
      return;
    }
    const inner = connect(server.port, '127.0.0.1');
    inner.on('error', () => socket.destroy());
    inner.on('close', () => socket.destroy());
    socket.on('close', () => inner.destroy());
    socket.pipe(inner).pipe(socket);
  }

  #stop(reason: StopReason): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#end.abort();
    for (const server of this.#servers) server.kill();
    for (const settle of this.#waiting) settle(reason);
    this.#waiting.clear();
  }

  #guest(start: Start): FakeGuest {
    const { signal } = this.#end;
    const spec = this.#spec;
    return {
      spec,
      start,
      starts: this.#hypervisor.nextStart(),
      signal,
      keys: this.#keys,
      say: (line) => appendFile(spec.serialLog, `${line}\r\n`),
      fetch: async (address) => {
        const response = await fetch(address.replace('10.0.2.2', '127.0.0.1'), { signal });
        if (!response.ok) throw new Error(`${address}: ${response.status}`);
        return response.text();
      },
      write: async (text) => {
        await using file = await open(spec.disk, 'r+');
        await file.write(text, 0);
      },
      read: async () => {
        await using file = await open(spec.disk, 'r');
        const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0);
        return buffer.subarray(0, bytesRead).toString('latin1').replace(/\0.*$/s, '');
      },
      ssh: async (options) => {
        const server = await startFakeSsh(options);
        this.#servers.push(server);
        return server;
      },
      typed: async (keys) => {
        while (!this.#keys.join(' ').endsWith(keys)) {
          signal.throwIfAborted();
          await pause();
        }
      },
      button: () => new Promise((resolve) => this.#presses.add(resolve)),
      show: (shade) => void (this.#shade = shade),
      stop: (reason) => this.#stop(reason),
    };
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

/** One pixel of grey. */
function png(shade: number): Uint8Array {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const frame = Buffer.alloc(8 + body.length);
    frame.writeUInt32BE(data.length, 0);
    body.copy(frame, 4);
    frame.writeUInt32BE(crc32(body), 4 + body.length);
    return frame;
  };
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])),
    chunk('IDAT', deflateSync(Buffer.from([0, shade]))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
