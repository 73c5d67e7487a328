import { basename } from 'node:path';
import { errorKind, FormatError, type ImageFile, windowOf } from '@polyvisor/core';
import { type ArchiveMember, listArchive } from './tar-reader.js';

/** A file of a package. */
export interface PackageFile {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Where it starts in the archive, in bytes; 0 for a file of its own. */
  readonly offset: number;
  /** The caller disposes it. */
  open(): Promise<ImageFile>;
}

/** A descriptor and the files that belong to it: in an archive, or in a folder. */
export interface Package {
  /** For messages. */
  readonly path: string;
  readonly descriptor: PackageFile;
  readonly manifest: PackageFile | undefined;
  readonly signed: boolean;
  /** What the files are in, for messages. */
  readonly place: 'archive' | 'folder';
  /** Finds a file by its plain name; undefined when it is not there. */
  find(name: string): Promise<PackageFile | undefined>;
}

/** The package that an OVA is. Nothing is unpacked: files are addressed by their place in the archive. */
export async function openArchive(file: ImageFile): Promise<Package> {
  const members = await listArchive(file);
  const descriptor = only(file, members, '.ovf');
  if (descriptor === undefined) throw invalid(file, 'the archive has no .ovf, so it is not an OVA');
  const base = descriptor.name.slice(0, -'.ovf'.length);
  const manifest = only(file, members, '.mf');
  if (manifest !== undefined && manifest.name.slice(0, -'.mf'.length) !== base) {
    throw invalid(
      file,
      `the manifest is named ${manifest.name}, for the descriptor ${descriptor.name} it must be ${base}.mf`,
    );
  }
  return {
    path: file.path,
    descriptor: fileOf(file, descriptor),
    manifest: manifest === undefined ? undefined : fileOf(file, manifest),
    signed: members.some(({ name }) => name.toLowerCase().endsWith('.cert')),
    place: 'archive',
    find: (name) => {
      const member = members.find((each) => each.name === name);
      return Promise.resolve(member === undefined ? undefined : fileOf(file, member));
    },
  };
}

/** The package around an unpacked descriptor: what lies beside it under plain names, opened when it is asked for. */
export async function openFolder(file: ImageFile): Promise<Package> {
  const name = basename(file.path);
  const base = name.replace(/\.ovf$/i, '');
  const descriptor: PackageFile = {
    name,
    size: file.size,
    offset: 0,
    // It is open already; what is given away here may be disposed.
    open: () => Promise.resolve(windowOf(file, 0, file.size)),
  };
  const find = async (wanted: string): Promise<PackageFile | undefined> => {
    if (wanted === name) return descriptor;
    await using found = await beside(file, wanted);
    if (found === undefined) return undefined;
    return { name: wanted, size: found.size, offset: 0, open: () => besideOrFail(file, wanted) };
  };
  return {
    path: file.path,
    descriptor,
    manifest: base === name ? undefined : await find(`${base}.mf`),
    signed: base !== name && (await find(`${base}.cert`)) !== undefined,
    place: 'folder',
    find,
  };
}

/** A member as a file of its own, named so that messages tell which file their offsets are in. */
export function fileOf(file: ImageFile, { name, offset, size }: ArchiveMember): PackageFile {
  return {
    name,
    size,
    offset,
    open: () => Promise.resolve({ ...windowOf(file, offset, size), path: `${file.path}: ${name}` }),
  };
}

async function beside(file: ImageFile, name: string): Promise<ImageFile | undefined> {
  if (file.beside === undefined) return undefined;
  try {
    return await file.beside(name);
  } catch (error) {
    if (errorKind(error) !== undefined && (error as { code?: unknown }).code === 'file-missing') return undefined;
    throw error;
  }
}

async function besideOrFail(file: ImageFile, name: string): Promise<ImageFile> {
  const found = await beside(file, name);
  if (found === undefined) throw invalid(file, `${name} is no longer beside the descriptor`);
  return found;
}

function only(file: ImageFile, members: readonly ArchiveMember[], extension: string): ArchiveMember | undefined {
  const found = members.filter(({ name }) => name.toLowerCase().endsWith(extension));
  if (found.length > 1)
    throw invalid(file, `the archive has ${found.length} members that end in ${extension}, one is allowed`);
  return found[0];
}

function invalid(file: ImageFile, what: string): FormatError {
  return new FormatError('ova-invalid', what, { file: file.path });
}
