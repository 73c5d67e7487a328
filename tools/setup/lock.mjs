import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { say } from './messages.mjs';

const FILE = '.nx/polyvisor-setup.lock';
const RETRY_MS = 500;

/** Runs `work` while no other set-up works in this folder: two `npm ci` at once destroy each other's node_modules. */
export async function alone(work) {
  mkdirSync('.nx', { recursive: true });
  let told = false;
  while (!acquire()) {
    if (!told) say(`another set-up (process ${holder()}) is at work in this folder; waiting for it`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  const release = () => rmSync(FILE, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.removeListener('exit', release);
    release();
  }
}

function acquire() {
  try {
    writeFileSync(FILE, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    // What a killed set-up left behind is no lock.
    if (!lives(holder())) rmSync(FILE, { force: true });
    return false;
  }
}

function holder() {
  try {
    return Number(readFileSync(FILE, 'utf8'));
  } catch {
    return Number.NaN;
  }
}

function lives(pid) {
  try {
    // An empty file is one that its owner is about to fill.
    return pid === 0 || process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}
