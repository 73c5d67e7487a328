/** How far an attempt to log in came. */
export type AttemptOutcome =
  | 'unknown-host'
  | 'no-route'
  | 'refused'
  | 'timed-out'
  /** Something accepts the connection and no SSH server speaks: port forwarders do so while the guest's has not started. */
  | 'no-banner'
  | 'not-ssh'
  | 'key-exchange'
  | 'host-key-changed'
  | 'login-refused'
  /** It broke off in the middle, with no reason given. */
  | 'broken-off';

/** Why one attempt to log in did not succeed. Never leaves this folder: who waits for SSH gets the sum of them. */
export class AttemptFailure extends Error {
  readonly outcome: AttemptOutcome;

  constructor(outcome: AttemptOutcome, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.outcome = outcome;
  }
}

const OUTCOMES: Readonly<Record<string, AttemptOutcome>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'no-route',
  ENETUNREACH: 'no-route',
  EHOSTDOWN: 'no-route',
  ETIMEDOUT: 'timed-out',
  ENOTFOUND: 'unknown-host',
  EAI_AGAIN: 'unknown-host',
};

const WORDS: Readonly<Partial<Record<AttemptOutcome, string>>> = {
  refused: 'connection refused',
  'no-route': 'no route to it',
  'timed-out': 'timed out',
  'unknown-host': 'its name is not known',
};

/** What the failure to connect at all means. */
export function connectFailure(error: Error): AttemptFailure {
  const { code = '' } = error as NodeJS.ErrnoException;
  // Accepted and dropped before the kernel told us that it was accepted.
  if (code === 'ECONNRESET')
    return new AttemptFailure('no-banner', 'accepted but no SSH banner: the connection was reset', error);
  const outcome = OUTCOMES[code];
  return outcome === undefined
    ? new AttemptFailure('broken-off', `cannot connect: ${error.message}`, error)
    : new AttemptFailure(outcome, WORDS[outcome] ?? outcome, error);
}
