import { EnvironmentError, PolyvisorError } from './errors.js';

const REASONS: Readonly<Record<string, { readonly code: string; readonly text: string; readonly hint: string }>> = {
  ENOSPC: {
    code: 'disk-full',
    text: 'no space is left on the device',
    hint: 'free some space or choose another directory',
  },
  EDQUOT: { code: 'disk-full', text: 'the quota is used up', hint: 'free some space or choose another directory' },
  EFBIG: {
    code: 'file-too-large',
    text: 'the file would be larger than this file system or the ulimit allows',
    hint: 'choose another directory, or raise `ulimit -f`',
  },
  EROFS: { code: 'not-writable', text: 'the file system is read-only', hint: 'choose another directory' },
  EACCES: {
    code: 'permission-denied',
    text: 'permission is denied',
    hint: 'check the owner and the mode of the file and its directories',
  },
  EPERM: {
    code: 'permission-denied',
    text: 'the operation is not permitted',
    hint: 'check the owner and the mode of the file and its directories',
  },
  ENOENT: { code: 'file-missing', text: 'there is no such file', hint: 'check the path' },
  ENOTDIR: { code: 'not-a-directory', text: 'a part of the path is a file', hint: 'check the path' },
  EEXIST: { code: 'not-a-directory', text: 'a part of the path is a file', hint: 'check the path' },
  ENAMETOOLONG: { code: 'name-too-long', text: 'the name is too long', hint: 'choose a shorter one' },
  ELOOP: { code: 'file-missing', text: 'the links in the path go round in circles', hint: 'check the path' },
  EIO: { code: 'device-error', text: 'the device reported an error', hint: 'see the kernel log (`dmesg`)' },
};

/** Turns an error of the operating system into one that says what was attempted and what to do. Others pass through. */
export function ioError(error: unknown, attempt: string): unknown {
  if (error instanceof PolyvisorError) return error;
  const reason = REASONS[(error as NodeJS.ErrnoException | undefined)?.code ?? ''];
  return reason === undefined
    ? error
    : new EnvironmentError(reason.code, `${attempt}: ${reason.text}`, { hint: reason.hint, cause: error });
}
