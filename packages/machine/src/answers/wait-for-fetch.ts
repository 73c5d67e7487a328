import { type Emit, GuestError } from '@polyvisor/core';
import type { StopReason } from '../machine.js';
import { type AnswerRequest, describeRequest } from './answer-request.js';
import type { AnswerServer } from './answer-server.js';

export interface FetchWait {
  /** In milliseconds, already multiplied by the machine's slowness. */
  readonly limit: number;
  /** Address under which the guest reaches the server: `HypervisorCapabilities.hostAddress`. */
  readonly hostAddress: string;
  /** Settles when the machine stops, which ends the waiting. */
  readonly stopped?: Promise<StopReason>;
  readonly emit: Emit;
  readonly stage: string;
  readonly signal: AbortSignal;
}

/** Waits until the guest got its first answer file. Throws `answers-not-fetched` when it does not within the limit. */
export async function waitForFetch(server: AnswerServer, wait: FetchWait): Promise<AnswerRequest> {
  const over = new AbortController();
  const seconds = Math.round(wait.limit / 1000);
  wait.emit({
    type: 'waiting',
    stage: wait.stage,
    message: `waiting up to ${seconds} s for the guest to fetch ${server.offered.join(' or ')} from ${wait.hostAddress}:${server.port}`,
  });
  const timer = setTimeout(
    () => over.abort(answersNotFetched(server, wait.hostAddress, `within ${seconds} s`)),
    wait.limit,
  );
  void wait.stopped?.then(
    (reason) => {
      const words = reason.words === '' ? '' : `: ${reason.words}`;
      over.abort(answersNotFetched(server, wait.hostAddress, `before the machine stopped (${reason.kind}${words})`));
    },
    () => undefined,
  );
  try {
    return await server.fetched(AbortSignal.any([wait.signal, over.signal]));
  } finally {
    clearTimeout(timer);
  }
}

/** The guest got no answer file. `when` completes the sentence. Says what was offered, where, and what came in instead. */
export function answersNotFetched(server: AnswerServer, hostAddress: string, when: string): GuestError {
  const base = `http://${hostAddress}:${server.port}${server.path}/`;
  const { requests } = server;
  const instead =
    requests.length === 0
      ? 'nothing was asked of the server at all'
      : `it got ${requests.length === 1 ? '1 request' : `${requests.length} requests`}, none of them for one of these names below that address`;
  return new GuestError(
    'answers-not-fetched',
    `the guest did not fetch its answers ${when}: ${server.offered.join(', ')} at ${base}; ${instead}`,
    {
      hint:
        requests.length === 0
          ? 'see the last screen: the installer may not have been started, may have no network, or was given another address (typed keys that got lost); a firewall of this computer may also stand in between'
          : 'compare the addresses that were asked for with the one above: a wrong name, or keys that were lost while typing',
      ...(requests.length === 0 ? {} : { transcript: requests.slice(-10).map(describeRequest).join('\n') }),
    },
  );
}
