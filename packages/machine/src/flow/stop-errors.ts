import { EnvironmentError, GuestError, type PolyvisorError, type StopReason } from '@polyvisor/core';

/** The error for a machine that stopped while something else was waited for: `waiting`, as "while" is followed by it. */
export function stopError({ kind, words }: StopReason, waiting: string, cause?: unknown): PolyvisorError {
  const said = words.trim() === '' ? '' : `; its last words: ${words.trim()}`;
  switch (kind) {
    case 'died':
      return new EnvironmentError('hypervisor-died', `the hypervisor ended while ${waiting}${said}`, {
        hint: 'was it killed (see `dmesg` for the out-of-memory killer), or did it fail by itself? build again',
        cause,
      });
    case 'halted':
      return new EnvironmentError('machine-halted', `the hypervisor had to halt the machine while ${waiting}${said}`, {
        hint: 'most often the disk of this computer is full: free some space, or choose another place with TMPDIR',
        cause,
      });
    case 'ended':
      return new EnvironmentError('machine-ended', `somebody else switched the machine off while ${waiting}${said}`, {
        hint: 'leave the machine alone while it is built, and build again',
        cause,
      });
    case 'restarted':
      return new GuestError('guest-restarted', `the guest restarted unasked while ${waiting}${said}`, {
        hint: 'see the serial log and the last screen for what made it restart',
        cause,
      });
    case 'off':
      return new GuestError('guest-off', `the guest switched itself off while ${waiting}${said}`, {
        hint: 'see the serial log and the last screen for what made it switch off',
        cause,
      });
  }
}
