import { DefinitionError } from '@polyvisor/core';

/** An image in pieces; what lies between them is zero. */
export interface LaidImage {
  readonly pieces: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
  readonly size: number;
}

/** What a file system cannot hold. */
export function mediumInvalid(what: string, hint: string): DefinitionError {
  return new DefinitionError('medium-invalid', `the seed medium cannot be made: ${what}`, { hint });
}
