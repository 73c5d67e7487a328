import { GuestError } from '@polyvisor/core';
import type { StopReason } from '../machine.js';

const HOW: Readonly<Record<StopReason['kind'], string>> = {
  off: 'the machine was switched off by its guest',
  restarted: 'the guest restarted, which stopped the machine',
  ended: 'the machine was ended',
  died: 'the hypervisor died',
  halted: 'the machine cannot go on',
};

/** A machine that does not run any more, while something was wanted from its guest. */
export function machineStopped({ kind, words }: StopReason, during: string, transcript?: string): GuestError {
  return new GuestError('machine-stopped', `${HOW[kind]} while ${during}${words === '' ? '' : `: ${words}`}`, {
    hint: 'look at the serial log and the last screen of the guest',
    transcript,
  });
}
