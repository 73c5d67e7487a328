import { resolve } from 'node:path';
import { type BlockNode, type Detection, FormatError, type ImageFile, type OpenImage, windowOf } from '@polyvisor/core';
import { openStream } from '@polyvisor/vmdk';
import { type ManifestEntry, readManifest, verifyEntry } from './manifest.js';
import { type Ovf, readOvf } from './ovf-reader.js';
import { type ArchiveMember, firstMemberName, listArchive } from './tar-reader.js';

/** Largest descriptor and manifest read, in bytes. A descriptor has some ten kilobytes. */
const MAX_TEXT = 1024 * 1024;

export interface OvaContents {
  readonly ovf: Ovf;
  /** Undefined when there is no manifest. */
  readonly manifest: readonly ManifestEntry[] | undefined;
  readonly signed: boolean;
}

/**
 * Reads what is around the disk: the archive's list, the descriptor (checked against the manifest when that lists it)
 * and the manifest. Memory: those two, at most 1 MiB each.
 */
export async function readOva(file: ImageFile): Promise<OvaContents> {
  const members = await listArchive(file);
  const descriptor = only(file, members, '.ovf');
  if (descriptor === undefined) throw invalid(file, 'the archive has no .ovf, so it is not an OVA');
  const base = descriptor.name.slice(0, -'.ovf'.length);
  const manifestMember = only(file, members, '.mf');
  if (manifestMember !== undefined && manifestMember.name.slice(0, -'.mf'.length) !== base) {
    throw invalid(
      file,
      `the manifest is named ${manifestMember.name}, for the descriptor ${descriptor.name} it must be ${base}.mf`,
    );
  }
  const text = manifestMember === undefined ? undefined : await readText(file, manifestMember);
  const manifest = text === undefined ? undefined : readManifest(file.path, text.toString('utf8'), members);
  // The descriptor decides what is read next, so it is checked before it is believed.
  const entry = manifest?.find(({ member }) => member === descriptor);
  if (entry !== undefined) await verifyEntry(file, entry);
  const ovf = readOvf(`${file.path}: ${descriptor.name}`, await readText(file, descriptor), members);
  return { ovf, manifest, signed: members.some(({ name }) => name.toLowerCase().endsWith('.cert')) };
}

export async function openOva(file: ImageFile): Promise<OpenImage> {
  const { ovf, manifest, signed } = await readOva(file);
  const { disk, facts } = await openStream(windowInto(file, ovf.disk));
  const algorithms = [...new Set(manifest?.map(({ algorithm }) => algorithm))].join(', ');
  return {
    disk,
    facts: {
      ...(ovf.machine === undefined ? {} : { machine: ovf.machine }),
      ...(ovf.systemType === undefined ? {} : { 'system type': ovf.systemType }),
      ...(ovf.guest === undefined ? {} : { guest: ovf.guest }),
      'disk file': ovf.disk.name,
      // Importers take the VMDK's capacity, and so do we; a descriptor that says something else is worth a look.
      ...(ovf.capacity === undefined || ovf.capacity === disk.size
        ? {}
        : { 'capacity in the descriptor': ovf.capacity }),
      manifest: manifest === undefined ? 'none' : algorithms || 'empty',
      ...(signed ? { certificate: 'present, not checked' } : {}),
      ...facts,
    },
  };
}

/** Checks every digest of the manifest; `ova-digest-mismatch` for the first that is wrong. Reads the whole file. */
export async function verifyManifest(file: ImageFile, signal?: AbortSignal): Promise<readonly ManifestEntry[]> {
  const { manifest } = await readOva(file);
  if (manifest === undefined) throw invalid(file, 'the archive has no manifest to check it with');
  for (const entry of manifest) await verifyEntry(file, entry, signal);
  return manifest;
}

/** An archive is an OVA for sure when its descriptor comes first, as it must; VirtualBox also takes others. */
export async function detectOva(file: ImageFile): Promise<Detection> {
  const name = await firstMemberName(file);
  if (name === undefined) return 'no';
  return name.toLowerCase().endsWith('.ovf') ? 'yes' : 'maybe';
}

/** QEMU reads the VMDK where it lies in the archive. */
export async function ovaBlockNode(file: ImageFile): Promise<BlockNode> {
  const { offset, size } = (await readOva(file)).ovf.disk;
  return {
    driver: 'vmdk',
    file: { driver: 'raw', offset, size, file: { driver: 'file', filename: resolve(file.path) } },
  };
}

/** The member as a file of its own, named so that messages tell which file their offsets are in. */
function windowInto(file: ImageFile, member: ArchiveMember): ImageFile {
  return { ...windowOf(file, member.offset, member.size), path: `${file.path}: ${member.name}` };
}

function only(file: ImageFile, members: readonly ArchiveMember[], extension: string): ArchiveMember | undefined {
  const found = members.filter(({ name }) => name.toLowerCase().endsWith(extension));
  if (found.length > 1)
    throw invalid(file, `the archive has ${found.length} members that end in ${extension}, one is allowed`);
  return found[0];
}

async function readText(file: ImageFile, { name, offset, size }: ArchiveMember): Promise<Buffer> {
  if (size > MAX_TEXT) {
    throw new FormatError('ova-invalid', `${name} is too long`, {
      file: file.path,
      offset,
      expected: `at most ${MAX_TEXT} bytes`,
      found: `${size}`,
    });
  }
  const bytes = Buffer.alloc(size);
  await file.read(bytes, offset);
  return bytes;
}

function invalid(file: ImageFile, what: string): FormatError {
  return new FormatError('ova-invalid', what, { file: file.path });
}
