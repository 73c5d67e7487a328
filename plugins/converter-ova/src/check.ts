import { type CheckOptions, errorKind, type Finding, type ImageFile } from '@polyvisor/core';
import { archiveFindings } from './archive-check.js';
import { descriptorFindings } from './descriptor-check.js';
import { CONSUMERS, error, NOBODY, quoted, warning } from './finding.js';
import { manifestFindings } from './manifest-check.js';
import { type OvfDiskEntry, readOvf } from './ovf-reader.js';
import { fileOf, openFolder, type PackageFile } from './package.js';
import { MAX_TEXT, readText } from './reader.js';
import type { ArchiveMember } from './tar-reader.js';
import { diskFileFindings } from './vmdk-check.js';

/** What the rules are applied to, from an archive or a folder. */
interface Subject {
  readonly path: string;
  readonly descriptor: PackageFile;
  readonly manifest: PackageFile | undefined;
  /** Names that a manifest should list; undefined: what the descriptor refers to. */
  readonly names: readonly string[] | undefined;
  find(name: string): Promise<PackageFile | undefined>;
}

/** Every rule of an OVA. Reads the whole file when it has a manifest, as digests are a part of the rules. */
export async function* checkOva(file: ImageFile, { signal }: CheckOptions): AsyncGenerator<Finding> {
  const members: ArchiveMember[] = [];
  yield* archiveFindings(file, members);
  const ending = (extension: string) => members.filter(({ name }) => name.toLowerCase().endsWith(extension));
  const [descriptor, ...others] = ending('.ovf');
  if (descriptor === undefined) {
    yield error('ova-descriptor-missing', CONSUMERS, 'the archive has no .ovf, so it is not an OVA');
    return;
  }
  const [manifest, ...further] = ending('.mf');
  for (const { name, offset } of [...others, ...further]) {
    const message = 'the archive has more than one descriptor or manifest';
    yield error('ova-descriptor-twice', CONSUMERS, message, { offset, found: quoted(name) });
  }
  const base = descriptor.name.slice(0, -'.ovf'.length);
  if (manifest !== undefined && manifest.name.slice(0, -'.mf'.length) !== base) {
    yield error('ova-manifest-name', CONSUMERS, 'the manifest has another name than the descriptor', {
      offset: manifest.offset,
      expected: quoted(`${base}.mf`),
      found: quoted(manifest.name),
    });
  }
  yield* subjectFindings(
    {
      path: file.path,
      descriptor: fileOf(file, descriptor),
      manifest: manifest === undefined ? undefined : fileOf(file, manifest),
      names: members.map(({ name }) => name).filter((name) => !/\.(?:mf|cert)$/i.test(name)),
      find: (name) => {
        const member = members.find((each) => each.name === name);
        return Promise.resolve(member === undefined ? undefined : fileOf(file, member));
      },
    },
    signal,
  );
}

/** Every rule of an unpacked OVF. Reads the files beside it when there is a manifest. */
export async function* checkOvf(file: ImageFile, { signal }: CheckOptions): AsyncGenerator<Finding> {
  const { path, descriptor, manifest, find } = await openFolder(file);
  yield* subjectFindings({ path, descriptor, manifest, names: undefined, find }, signal);
}

async function* subjectFindings(subject: Subject, signal: AbortSignal): AsyncGenerator<Finding> {
  const { path, descriptor, manifest, find } = subject;
  let disks: readonly OvfDiskEntry[] = [];
  if (descriptor.size > MAX_TEXT) {
    yield error('ovf-too-long', NOBODY, 'the descriptor is far too long', {
      offset: descriptor.offset,
      expected: `at most ${MAX_TEXT} bytes`,
      found: `${descriptor.size}`,
    });
  } else {
    const text = await readText(path, descriptor);
    for (const finding of descriptorFindings(text)) yield { offset: descriptor.offset, ...finding };
    disks = disksOf(path, text);
    for (const disk of disks) {
      for await (const finding of diskFileFindings(disk, find)) yield { offset: descriptor.offset, ...finding };
    }
  }
  if (manifest === undefined) {
    const hint = 'nothing tells a damaged file from a sound one';
    yield warning('ovf-manifest-missing', NOBODY, 'there is no manifest', { hint });
  } else if (manifest.size > MAX_TEXT) {
    yield error('ovf-manifest-syntax', CONSUMERS, 'the manifest is far too long', { offset: manifest.offset });
  } else {
    const text = (await readText(path, manifest)).toString('utf8');
    const named = [descriptor.name, ...disks.flatMap(({ href }) => (href === undefined ? [] : [href]))];
    for await (const finding of manifestFindings(text, find, subject.names ?? named, signal))
      yield { offset: manifest.offset, ...finding };
  }
}

/** The disks, where the descriptor can be read to that point; what is wrong with it has been told. */
function disksOf(path: string, text: Uint8Array): readonly OvfDiskEntry[] {
  try {
    return readOvf(path, text).disks;
  } catch (failure) {
    if (errorKind(failure) !== 'format') throw failure;
    return [];
  }
}
