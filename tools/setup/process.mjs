import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * How long to wait for the same signal to come again. npm passes on what it gets: a signal that comes twice was sent to the
 * whole process group (a terminal's Ctrl-C, `timeout`), so the child has it already, and a second one would mean "at
 * once" to it. One that comes once was sent to npm or to us alone.
 */
const ECHO_MS = 300;

let child;
let lastSignal = '';
/** How often each signal came within the present wait. */
const received = new Map();

/** Passes signals to the running child and outlives it, so that the child can clean up and its exit code is ours. */
export function forwardSignals() {
  for (const name of FORWARDED) process.on(name, () => onSignal(name));
}

function onSignal(name) {
  if (child === undefined) process.exit(128 + constants.signals[name]);
  lastSignal = name;
  const times = (received.get(name) ?? 0) + 1;
  received.set(name, times);
  if (times > 1) return;
  setTimeout(() => {
    if (received.get(name) === 1) child?.kill(name);
    received.delete(name);
  }, ECHO_MS);
}

/** Whether a signal asked the whole task to stop: what is still to come is then not started. */
export function interrupted() {
  return lastSignal !== '';
}

/** The exit code of a task that a signal ended. */
export function interruptionCode() {
  return 128 + constants.signals[lastSignal];
}

/** Runs a command with our own input and output. Returns its exit code; 128 and the signal's number when one ended it. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    child = spawn(command, args, { stdio: 'inherit', ...options });
    child.once('error', (error) => {
      child = undefined;
      reject(error);
    });
    child.once('close', (code, signal) => {
      child = undefined;
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/**
 * Runs a command that asks nothing. Returns its exit code and all it wrote; 127 when there is no such command. `options` are
 * those of `spawn`, such as `env` and a `timeout` in milliseconds, which ends it with SIGTERM.
 */
export function capture(command, args, options = {}) {
  return new Promise((resolve) => {
    let output = '';
    const done = (code) => {
      child = undefined;
      resolve({ code, output });
    };
    child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', () => done(127));
    child.once('close', (code, signal) => done(code ?? 128 + constants.signals[signal]));
  });
}
