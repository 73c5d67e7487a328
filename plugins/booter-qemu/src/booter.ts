import {
  GuestError,
  EnvironmentError,
  type Booter,
  type BootJob,
  type BootReport,
  type PluginContext,
} from '@polyvisor/core';
import {
  type Bus,
  BUS_NAMES,
  findUefi,
  prepareUefi,
  probeAcceleration,
  probeQemu,
  QEMU,
  type QemuAcceleration,
} from '@polyvisor/qemu';
import { machineArguments } from './arguments.js';
import { Machine, RESTARTS_ALLOWED, type Outcome } from './machine.js';

/** Lines of the console that an error shows. */
const TAIL = 12;

/** How often the last line of the console is reported as what the boot waits for, in milliseconds. */
const REPORT_INTERVAL = 1000;

/** Boots images with `qemu-system-x86_64`: every write goes to an overlay that is gone when QEMU ends. */
export function createQemuBooter(context: PluginContext): Booter {
  let acceleration: Promise<QemuAcceleration> | undefined;
  let told = false;
  // Asked once: the answer does not change while the process lives. A cancelled probe is no answer.
  const accelerate = (signal: AbortSignal): Promise<QemuAcceleration> => {
    acceleration ??= probeAcceleration(context, {}, signal).catch((error: unknown) => {
      acceleration = undefined;
      throw error;
    });
    return acceleration;
  };
  return {
    id: 'qemu',
    summary: 'boots images in QEMU, with KVM where it works',
    capabilities: {
      architectures: ['x86_64'],
      // Without OVMF there is no UEFI, and it is better to know before a long build than after.
      firmware: findUefi() === undefined ? ['bios'] : ['bios', 'uefi'],
      buses: BUS_NAMES,
    },
    probe: (signal) =>
      probeQemu(context, { otherwise: 'build without the boot check', acceleration: accelerate }, signal),
    boot: async (job) => {
      const found = await accelerate(job.signal);
      if (found.accelerator === 'tcg' && !told) {
        context.log.info(
          `no KVM here, so QEMU emulates the processor, which is several times slower ${found.description.replace(/^tcg /, '')}`,
        );
      }
      told = true;
      return boot(context, found, job);
    },
  };
}

async function boot(
  context: PluginContext,
  { accelerator, description, slowdown }: QemuAcceleration,
  job: BootJob,
): Promise<BootReport> {
  job.signal.throwIfAborted();
  if (job.architecture !== 'x86_64') {
    throw new EnvironmentError(
      'architecture-unsupported',
      `${job.path} is for ${job.architecture}, and this booter runs x86_64 guests only`,
      {
        hint: 'build without the boot check (`--boot-check none`)',
      },
    );
  }
  const bus = knownBus(job.bus);
  const uefi = job.firmware === 'uefi' ? await prepareUefi(job.workDir) : undefined;
  const timeout = job.timeout * slowdown;
  const args = machineArguments({
    node: job.node,
    bus,
    accelerator,
    firmware: job.firmware,
    uefi,
    cpus: job.cpus,
    memory: job.memory,
    consoleLog: job.consoleLog,
  });
  context.log.debug(`${QEMU} ${args.join(' ')}`);
  const started = performance.now();
  const files = { workDir: job.workDir, consoleLog: job.consoleLog };
  await using machine = await Machine.start(context, args, files, job.signal);
  let reported: string | undefined;
  const reporter = setInterval(() => {
    const message = machine.console.tail(1)[0];
    if (message === undefined || message === reported) return;
    reported = message;
    job.emit({ type: 'waiting', stage: 'boot', message });
  }, REPORT_INTERVAL);
  try {
    const outcome = await machine.outcome(job.expect, timeout, job.signal);
    if (outcome.kind === 'matched')
      return { duration: Math.round(performance.now() - started), matched: outcome.line, acceleration: description };
    const picture = job.consoleLog.replace(/\.[^./]*$/, '') + '.png';
    const pictured = await machine.screenshot(picture);
    throw failure(outcome, job, machine.console.tail(TAIL), timeout, description, pictured ? picture : undefined);
  } finally {
    clearInterval(reporter);
  }
}

function knownBus(name: string | undefined): Bus {
  const bus = BUS_NAMES.find((known) => known === (name ?? BUS_NAMES[0]));
  if (bus === undefined) {
    throw new EnvironmentError('bus-unsupported', `QEMU is not asked for a disk controller called “${name}”`, {
      hint: `choose one of ${BUS_NAMES.join(', ')}`,
    });
  }
  return bus;
}

function failure(
  outcome: Exclude<Outcome, { kind: 'matched' }>,
  job: BootJob,
  tail: readonly string[],
  timeout: number,
  acceleration: string,
  picture: string | undefined,
): GuestError {
  const { code, what, hint } = explain(outcome, timeout, acceleration);
  const where = [`console log: ${job.consoleLog}`, ...(picture === undefined ? [] : [`screenshot: ${picture}`])].join(
    ', ',
  );
  // The last lines themselves travel beside the message, and whoever shows it shows them too.
  const silence = tail.length === 0 ? '; the console stayed empty' : '';
  return new GuestError(code, `${job.path} did not boot under ${job.firmware.toUpperCase()}: ${what}${silence}`, {
    hint: `${hint} (${where})`,
    transcript: tail.join('\n'),
  });
}

function explain(
  outcome: Exclude<Outcome, { kind: 'matched' }>,
  timeout: number,
  acceleration: string,
): { code: string; what: string; hint: string } {
  const look = 'look at the console log';
  switch (outcome.kind) {
    case 'timeout':
      return {
        code: 'boot-timeout',
        what: `the expected text did not appear within ${Math.round(timeout / 1000)} s with ${acceleration}`,
        hint: 'see whether the guest has a console on ttyS0 and a getty on it; allow more time with `--timeout` or, for a build, `boot-check.timeout` in the definition',
      };
    case 'stuck':
      return { code: 'boot-stuck', what: outcome.reason, hint: look };
    case 'restarting':
      return { code: 'boot-restarts', what: `the guest restarted more than ${RESTARTS_ALLOWED} times`, hint: look };
    case 'halted':
      return {
        code: 'boot-halted',
        what: `QEMU stopped the guest (${outcome.status})${outcome.words === '' ? '' : `, its last words: ${outcome.words}`}`,
        hint: outcome.status === 'io-error' ? 'is the work directory full? choose another with --work-dir' : look,
      };
    case 'ended':
      return {
        code: 'boot-ended',
        what: `the guest switched itself off (${outcome.reason}) before the expected text appeared`,
        hint: look,
      };
    case 'died':
      return {
        code: 'boot-qemu-died',
        what: `QEMU ended by itself (${outcome.status})${outcome.words === '' ? '' : `, its last words: ${outcome.words}`}`,
        hint: 'if QEMU could not open the image, check it with `polyvisor verify`',
      };
  }
}
