import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Names the process that owns a temporary file or directory, so that a later run can tell what was left behind by a
 * dead one: `<pid>-<start>-<host>`. The start time makes a reused process number no matter; the host keeps machines
 * that share a directory from removing each other's work.
 */
export function ownerTag(): string {
  return `${process.pid}-${startTime(process.pid) ?? 0}-${hostTag()}`;
}

/** A pattern for tags inside file names; the one group is the tag. */
export const OWNER_TAG = /(\d+-\d+-[0-9a-f]{8})/;

/** Whether the tag's process ran on this machine and is gone. False when that cannot be known. */
export function ownerIsGone(tag: string): boolean {
  const [pid, start, host] = tag.split('-');
  if (host !== hostTag()) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const now = startTime(Number(pid));
  return now !== undefined && start !== '0' && now !== Number(start);
}

function hostTag(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
}

/** Clock ticks after boot at which a process started: field 22 of Linux's /proc/<pid>/stat. Undefined elsewhere. */
function startTime(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses and may itself hold spaces and parentheses.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return undefined;
  }
}
