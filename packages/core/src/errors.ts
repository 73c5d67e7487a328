/**
 * The ways in which a run can fail, by cause. Each class has an exit code of its own (docs/errors.md);
 * anything else that is thrown is a bug of ours. Cancellation is none of these: the signal's reason passes through.
 */

/** One thing wrong in a file that a person wrote. Lines and columns count from 1. */
export interface Issue {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
  /** What to do about it, when that is not obvious from the message. */
  readonly hint?: string;
}

export interface ErrorDetails {
  /** What the person can do next: a command to run, an option to give. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

// A registered symbol, so that two copies of this package in one process still know each other's errors.
const KIND = Symbol.for('polyvisor.error');

export type ErrorKind = 'definition' | 'environment' | 'guest' | 'format';

export abstract class PolyvisorError extends Error {
  readonly [KIND]: ErrorKind;
  /** Stable, documented name of the problem, such as `disk-full`. */
  readonly code: string;
  readonly hint: string | undefined;

  protected constructor(kind: ErrorKind, code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this[KIND] = kind;
    this.code = code;
    this.hint = details.hint;
    this.name = new.target.name;
  }
}

/** The user's file, options or command line are wrong. Carries every problem found, not only the first. Exit code 2. */
export class DefinitionError extends PolyvisorError {
  readonly issues: readonly Issue[];

  constructor(code: string, message: string, details: ErrorDetails & { readonly issues?: readonly Issue[] } = {}) {
    super('definition', code, message, details);
    this.issues = details.issues ?? [];
  }
}

/** A tool, a right or a resource of this machine is missing. Exit code 3. */
export class EnvironmentError extends PolyvisorError {
  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super('environment', code, message, details);
  }
}

/** The guest, or a script run in it, did not do what was asked. Exit code 4. */
export class GuestError extends PolyvisorError {
  /** The last lines that the guest or the script wrote. */
  readonly transcript: string | undefined;

  constructor(
    code: string,
    message: string,
    details: ErrorDetails & { readonly transcript?: string | undefined } = {},
  ) {
    super('guest', code, message, details);
    this.transcript = details.transcript;
  }
}

export interface FormatErrorDetails extends ErrorDetails {
  /** Path of the image, as the user gave it. */
  readonly file?: string | undefined;
  /** Byte offset in the file at which the offending field or data starts. */
  readonly offset?: number | undefined;
  readonly expected?: string | undefined;
  readonly found?: string | undefined;
}

/** An image or archive is not what it claims to be. Exit code 5. */
export class FormatError extends PolyvisorError {
  readonly file: string | undefined;
  readonly offset: number | undefined;
  readonly expected: string | undefined;
  readonly found: string | undefined;

  constructor(code: string, what: string, details: FormatErrorDetails = {}) {
    const where = [details.file, details.offset === undefined ? undefined : `offset ${details.offset}`].filter(Boolean);
    const facts = [
      details.expected === undefined ? undefined : `expected ${details.expected}`,
      details.found === undefined ? undefined : `found ${details.found}`,
    ].filter(Boolean);
    super(
      'format',
      code,
      `${where.length > 0 ? `${where.join(', ')}: ` : ''}${what}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}`,
      details,
    );
    this.file = details.file;
    this.offset = details.offset;
    this.expected = details.expected;
    this.found = details.found;
  }
}

/** Tells an error of ours by its mark, which holds across several copies of this package; `instanceof` does not. */
export function errorKind(error: unknown): ErrorKind | undefined {
  return typeof error === 'object' && error !== null ? (error as { [KIND]?: ErrorKind })[KIND] : undefined;
}
