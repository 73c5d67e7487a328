import { dirname, resolve } from 'node:path';
import {
  type BlockNode,
  type Detection,
  FormatError,
  type ImageFile,
  type OpenImage,
  type ReadOptions,
} from '@polyvisor/core';
import { chooseDisk, nameOf } from './choose-disk.js';
import { expandGzip } from './gunzip.js';
import { type ManifestEntry, manifestInvalid, readManifest, verifyEntry } from './manifest.js';
import { namesOf, type Ovf, type OvfDiskEntry, readOvf } from './ovf-reader.js';
import { openArchive, openFolder, type Package, type PackageFile } from './package.js';
import { firstMemberName } from './tar-reader.js';
import { openVmdk } from './vmdk.js';
import { printable } from './xml-reader.js';

/** Largest descriptor and manifest read, in bytes. A descriptor has some ten kilobytes. */
export const MAX_TEXT = 1024 * 1024;

export interface Contents {
  readonly files: Package;
  readonly ovf: Ovf;
  /** Undefined when there is no manifest. */
  readonly manifest: readonly ManifestEntry[] | undefined;
}

/**
 * Reads what is around the disks: the archive's list, the descriptor (checked against the manifest when that lists it)
 * and the manifest. Memory: those two, at most 1 MiB each.
 */
export async function readOva(file: ImageFile): Promise<Contents> {
  const files = await openArchive(file);
  const contents = await readPackage(files);
  for (const { name } of contents.manifest ?? []) await listed(files, name);
  return contents;
}

async function readPackage(files: Package): Promise<Contents> {
  const { descriptor, path } = files;
  const text = files.manifest === undefined ? undefined : await readText(path, files.manifest);
  const manifest = text === undefined ? undefined : readManifest(path, text.toString('utf8'));
  // The descriptor decides what is read next, so it is checked before it is believed.
  const entry = manifest?.find(({ name }) => name === descriptor.name);
  if (entry !== undefined) await verifyEntry(path, descriptor, entry);
  const title = files.place === 'archive' ? `${path}: ${descriptor.name}` : path;
  return { files, manifest, ovf: readOvf(title, await readText(path, descriptor)) };
}

export async function openOva(file: ImageFile, options: ReadOptions = {}): Promise<OpenImage> {
  return openContents(await readOva(file), options);
}

export async function openOvf(file: ImageFile, options: ReadOptions = {}): Promise<OpenImage> {
  return openContents(await readPackage(await openFolder(file)), options);
}

async function openContents({ files, ovf, manifest }: Contents, options: ReadOptions): Promise<OpenImage> {
  const entry = chooseDisk(files.path, ovf.disks, options.disk);
  const member = await fileOfDisk(files, entry);
  const { disk, facts, ...rest } = await openDisk(files, entry, member, options);
  const algorithms = [...new Set(manifest?.map(({ algorithm }) => algorithm))].join(', ');
  return {
    ...rest,
    disk,
    disks: ovf.disks.map((each) => ({
      name: nameOf(each),
      // Importers take the VMDK's capacity, and so do we; of the others only the descriptor's is known.
      size: each === entry ? disk.size : (each.capacity ?? 0),
    })),
    facts: {
      ...(ovf.machine === undefined ? {} : { machine: ovf.machine }),
      ...(ovf.systemType === undefined ? {} : { 'system type': ovf.systemType }),
      ...(ovf.guest === undefined ? {} : { guest: ovf.guest }),
      'disk file': printable(member.name),
      ...(ovf.disks.length === 1 ? {} : { disk: `${ovf.disks.indexOf(entry) + 1} of ${ovf.disks.length}` }),
      // A descriptor that says something else is worth a look.
      ...(entry.capacity === undefined || entry.capacity === disk.size
        ? {}
        : { 'capacity in the descriptor': entry.capacity }),
      manifest: manifest === undefined ? 'none' : algorithms || 'empty',
      ...(files.signed ? { certificate: 'present, not checked' } : {}),
      ...facts,
    },
  };
}

/** Opens the file of a disk, expanded where it is gzipped. Disposing the disk closes what was opened for it. */
async function openDisk(
  files: Package,
  entry: OvfDiskEntry,
  member: PackageFile,
  { expand }: ReadOptions,
): Promise<OpenImage> {
  let file = await member.open();
  try {
    if (entry.gzipped) {
      if (expand === undefined || entry.capacity === undefined) {
        throw new FormatError(
          'ova-unsupported',
          entry.capacity === undefined
            ? 'the disk is gzipped, and the descriptor does not give its capacity, so nothing bounds what it expands to'
            : 'the disk is gzipped, and there is no place to expand it to',
          { file: files.path, hint: 'unpack it with tar and gunzip, and convert the VMDK' },
        );
      }
      const packed = file;
      file = await expandGzip(packed, entry.capacity, expand);
      await packed[Symbol.asyncDispose]();
    }
    const opened = file;
    const image = await openVmdk(opened);
    const dispose = async () => {
      await image.disk[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    };
    return { ...image, disk: { ...image.disk, [Symbol.asyncDispose]: dispose } };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Follows a disk's reference to a file of the package; never to anything outside. */
async function fileOfDisk(files: Package, { href = '', fileSize, problem }: OvfDiskEntry): Promise<PackageFile> {
  const { path, place, descriptor } = files;
  const title = place === 'archive' ? `${path}: ${descriptor.name}` : path;
  if (problem !== undefined) throw new FormatError(problem.code, problem.what, { file: title, hint: problem.hint });
  let member: PackageFile | undefined;
  for (const name of namesOf(href)) member ??= name === '' ? undefined : await files.find(name);
  if (member === undefined) {
    const where = place === 'archive' ? 'a member of the archive' : 'a file beside the descriptor';
    throw new FormatError(
      'ova-invalid',
      `the descriptor refers to ${JSON.stringify(href.slice(0, 100))}, which is not ${where}`,
      { file: title },
    );
  }
  if (fileSize !== undefined && fileSize !== `${member.size}`) {
    throw new FormatError('ova-invalid', `the descriptor gives another size for ${member.name} than the ${place}`, {
      file: title,
      offset: member.offset,
      expected: fileSize.slice(0, 100),
      found: `${member.size}`,
    });
  }
  return member;
}

/** Checks every digest of an OVA's manifest; `ova-digest-mismatch` for the first that is wrong. Reads the whole file. */
export async function verifyManifest(file: ImageFile, signal?: AbortSignal): Promise<readonly ManifestEntry[]> {
  const { files, manifest } = await readOva(file);
  if (manifest === undefined) {
    throw new FormatError('ova-invalid', 'the archive has no manifest to check it with', { file: file.path });
  }
  for (const entry of manifest) await verifyEntry(file.path, await listed(files, entry.name), entry, signal);
  return manifest;
}

async function listed(files: Package, name: string): Promise<PackageFile> {
  const found = await files.find(name);
  if (found !== undefined) return found;
  throw manifestInvalid(files.path, `the manifest lists ${JSON.stringify(name)}, which is not in the ${files.place}`);
}

/** An archive is an OVA for sure when its descriptor comes first, as it must; VirtualBox also takes others. */
export async function detectOva(file: ImageFile): Promise<Detection> {
  const name = await firstMemberName(file);
  if (name === undefined) return 'no';
  return name.toLowerCase().endsWith('.ovf') ? 'yes' : 'maybe';
}

/** Bytes of a descriptor in which its root element must begin; comments of exporters come before it. */
const HEAD = 8 * 1024;

/** A descriptor is known by its root element; its namespace makes it certain. */
export async function detectOvf(file: ImageFile): Promise<Detection> {
  if (file.size > MAX_TEXT) return 'no';
  const head = Buffer.alloc(Math.min(HEAD, file.size));
  await file.read(head, 0);
  const text = head.toString('utf8');
  if (!/^\ufeff?\s*</.test(text)) return 'no';
  const root = /<(?:[A-Za-z_][\w.-]*:)?Envelope[\s>]/.exec(text);
  if (root === null) return 'no';
  return /["']http:\/\/(?:schemas\.dmtf\.org|www\.vmware\.com\/schema)\/ovf\//.test(text) ? 'yes' : 'maybe';
}

/** QEMU reads the VMDK where it lies in the archive. */
export async function ovaBlockNode(file: ImageFile): Promise<BlockNode> {
  const { offset, size } = await plainDisk(await readOva(file));
  return {
    driver: 'vmdk',
    file: { driver: 'raw', offset, size, file: { driver: 'file', filename: resolve(file.path) } },
  };
}

export async function ovfBlockNode(file: ImageFile): Promise<BlockNode> {
  const { name } = await plainDisk(await readPackage(await openFolder(file)));
  return { driver: 'vmdk', file: { driver: 'file', filename: resolve(dirname(file.path), name) } };
}

/** The file of the only disk, where that is readable as it is. */
async function plainDisk({ files, ovf }: Contents): Promise<PackageFile> {
  const entry = chooseDisk(files.path, ovf.disks, undefined);
  if (!entry.gzipped) return fileOfDisk(files, entry);
  throw new FormatError('ova-unsupported', 'the disk is gzipped, QEMU cannot read it in place', { file: files.path });
}

export async function readText(path: string, file: PackageFile): Promise<Buffer> {
  if (file.size > MAX_TEXT) {
    throw new FormatError('ova-invalid', `${file.name} is too long`, {
      file: path,
      offset: file.offset,
      expected: `at most ${MAX_TEXT} bytes`,
      found: `${file.size}`,
    });
  }
  await using opened = await file.open();
  const bytes = Buffer.alloc(file.size);
  await opened.read(bytes, 0);
  return bytes;
}
