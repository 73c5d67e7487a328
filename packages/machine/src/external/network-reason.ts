import { AddressError } from './http-client.js';

/** What went wrong on the way, and whether the same may work in a moment. */
export interface NetworkFailure {
  readonly reason: string;
  readonly again: boolean;
}

const KNOWN: Readonly<Record<string, NetworkFailure>> = {
  ENOTFOUND: { reason: 'the host name is not known', again: false },
  EAI_AGAIN: { reason: 'the host name cannot be looked up: the name server does not answer', again: true },
  ECONNREFUSED: { reason: 'the connection is refused: no server listens there', again: false },
  EHOSTUNREACH: { reason: 'there is no route to the host', again: false },
  ENETUNREACH: { reason: 'there is no route to the network of the host', again: false },
  ECONNRESET: { reason: 'the connection was cut', again: true },
  EPIPE: { reason: 'the connection was cut', again: true },
  ETIMEDOUT: { reason: 'the host does not answer', again: true },
  UND_ERR_SOCKET: { reason: 'the connection was cut', again: true },
  UND_ERR_CONNECT_TIMEOUT: { reason: 'the host does not answer', again: true },
  UND_ERR_HEADERS_TIMEOUT: { reason: 'the server takes the request and does not answer', again: true },
  UND_ERR_BODY_TIMEOUT: { reason: 'the server stopped sending', again: true },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { reason: 'the server sent another length than it had said', again: true },
};

/** Puts a failure of the network into words; undefined for errors that have nothing to do with it. */
export function networkFailure(error: unknown): NetworkFailure | undefined {
  if (error instanceof AddressError) return { reason: error.message, again: false };
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code !== 'string') return undefined;
  const known = KNOWN[code];
  if (known !== undefined) return known;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_/.test(code))
    return { reason: `its certificate or encryption is not accepted: ${String(message)}`, again: false };
  if (code.startsWith('UND_ERR_') || code.startsWith('HPE_')) return { reason: String(message), again: true };
  return undefined;
}
