import { FormatError, type FormatErrorDetails, type ImageFile } from '@polyvisor/core';

/** Reads a part of the file; `what` names it, for the message when the file is too short. */
export async function readAt(file: ImageFile, offset: number, length: number, what: string): Promise<Buffer> {
  if (offset + length > file.size) {
    throw damaged(file, `${what} ends behind the end of the file`, {
      offset,
      expected: `${length} bytes`,
      found: `a file of ${file.size} bytes`,
    });
  }
  const bytes = Buffer.allocUnsafe(length);
  await file.read(bytes, offset);
  return bytes;
}

/** The file breaks a rule of the format. */
export function damaged(file: ImageFile, what: string, details: FormatErrorDetails): FormatError {
  return new FormatError('vmdk-invalid', what, { file: file.path, ...details });
}

/** The file is a VMDK, of a kind that is not read. */
export function unsupported(
  file: ImageFile,
  what: string,
  hint = 'export the disk with the tools of the hypervisor that made it, such as `vmkfstools -i` or `ovftool`',
): FormatError {
  return new FormatError('vmdk-unsupported', what, { file: file.path, offset: 0, hint });
}
