import type { Appliance, GuestAccess } from '@polyvisor/core';
import type { AnswerAddress, Values } from '../answers/index.js';

/** What differs from build to build: the answer server's address, if there is one, and the key. */
export interface BuildFacts {
  readonly hostAddress: string;
  readonly address?: AnswerAddress;
  readonly publicKey: string;
}

/** What templates, boot commands and kernel arguments may name. Nothing is served: no address. */
export function buildValues(
  { name, hostname, version }: Pick<Appliance, 'name' | 'hostname' | 'version'>,
  { user }: Pick<GuestAccess, 'user'>,
  { hostAddress, address, publicKey }: BuildFacts,
): Values {
  return {
    name,
    hostname,
    version,
    'ssh-key': publicKey,
    'ssh-user': user,
    ...(address === undefined
      ? {}
      : {
          answers: `http://${hostAddress}:${address.port}${address.path}`,
          'answers-host': hostAddress,
          'answers-port': String(address.port),
        }),
  };
}
