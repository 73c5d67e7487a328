import { type Event, formatBytes } from '@polyvisor/core';
import { stripVTControlCharacters } from 'node:util';
import { formatDuration } from '../duration.js';
import type { Pace } from './rate.js';

export type Progress = Extract<Event, { type: 'progress' }>;

/** `42 %, 5 MiB of 12 MiB, 12.0 MiB/s, 8 s left`: what is known of it, a total of 0 being unknown; `brief` leaves the amounts out. */
export function progressText({ done, total, unit }: Progress, { rate, left }: Pace, brief = false): string {
  const share = total > 0 ? `${Math.floor((done / total) * 100)} %` : '';
  const amount = unit === 'bytes' ? formatBytes(done) : String(done);
  const whole = unit === 'bytes' ? formatBytes(total) : String(total);
  const speed = rate === undefined || unit !== 'bytes' ? '' : `${formatBytes(Math.round(rate))}/s`;
  const time = left === undefined || done >= total ? '' : `${formatDuration(left)} left`;
  return [share, brief && share !== '' ? '' : total > 0 ? `${amount} of ${whole}` : amount, speed, time]
    .filter((part) => part !== '')
    .join(', ');
}

/** `title (1.2 s): note`. */
export function doneText({ title, seconds, note }: Extract<Event, { type: 'stage-done' }>): string {
  return `${title} (${formatDuration(seconds)})${note === undefined ? '' : `: ${note}`}`;
}

/** Without what could move a cursor or ring a bell: guests, images and other programs have a say in these texts. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what is meant
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
}
