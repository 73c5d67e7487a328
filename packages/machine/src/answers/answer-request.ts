/** A request that the answer server got. Everything in it that the client chose is short and free of control characters. */
export interface AnswerRequest {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Address and port of the client. */
  readonly client: string;
  readonly method: string;
  /** Name of the file for those who knew the secret; the whole path for the others. Never has the secret in it. */
  readonly path: string;
  /** Whether the path began with the secret. */
  readonly trusted: boolean;
  readonly status: number;
  /** Bytes of the file that were sent. */
  readonly bytes: number;
  readonly userAgent: string;
}

/** Whether the request got (a part of) a file. */
export function isFetch(request: AnswerRequest): boolean {
  return request.method === 'GET' && (request.status === 200 || request.status === 206);
}

/** What a client sent, made fit for one line of a log. */
export function cleaned(text: string, length: number): string {
  // Control, format (such as right-to-left marks), surrogate and unassigned characters; also line separators.
  const plain = text.slice(0, length * 2).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
  return plain.length <= length ? plain : `${plain.slice(0, length - 1)}…`;
}

/** One line about a request. */
export function describeRequest(request: AnswerRequest): string {
  const agent = request.userAgent === '' ? '' : `, ${request.userAgent}`;
  return `${request.method} ${request.path}: ${request.status}, ${request.bytes} bytes, to ${request.client}${agent}`;
}
