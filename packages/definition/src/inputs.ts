import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { DefinitionError } from '@polyvisor/core';
import { showFile } from './find.js';
import type { Definition } from './load.js';
import { sourceFacts, sourceFiles, uncheckedImage } from './source-inputs.js';

/** Far above any real definition; ends a walk into a tree that was named by mistake. */
const MAX_INPUTS = 100_000;

export interface InputFile {
  /** Relative to the definition's folder, with `/`; absolute for what lies outside of it. */
  readonly path: string;
  readonly kind: 'file' | 'link';
  /** Of the content; of the text of a link. */
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
}

export interface DefinitionInputs {
  /** Every file that the definition consists of and refers to, sorted by path. */
  readonly files: readonly InputFile[];
  /**
   * Stable name of what the disk is made from, in 64 hex digits: the appliance after substitution, sealing, the provisioner, and
   * the contents of all files. It differs when any of these does, and does not depend on the folder, the clock, or on the
   * targets and the boot check, which do not change the disk. Secrets enter it only through this hash.
   */
  readonly key: string;
}

/** Reads and hashes all that a definition refers to. */
export async function definitionInputs(definition: Definition, signal?: AbortSignal): Promise<DefinitionInputs> {
  const { folder } = definition;
  const files = new Map<string, InputFile>();
  const { description: _description, secrets: _secrets, ...appliance } = definition.appliance;
  for (const reference of definition.references) await collect(reference.path, folder, files, signal);
  // Of several sources only the one that is used counts.
  for (const path of sourceFiles(appliance.source)) await collect(path, folder, files, signal);
  const unchecked = await uncheckedImage(appliance.source);
  if (unchecked !== undefined) await collect(unchecked, folder, files, signal);
  const sorted = [...files.values()].sort((left, right) => (left.path < right.path ? -1 : 1));
  const facts = {
    appliance: {
      ...appliance,
      files: appliance.files.map((file) => ({ ...file, from: nameOf(file.from, folder) })),
      scripts: appliance.scripts.map((script) => ({ ...script, path: nameOf(script.path, folder) })),
      source: sourceFacts(appliance.source, (path) => nameOf(path, folder)),
    },
    provisioner:
      definition.provisioner === undefined
        ? null
        : { id: definition.provisioner.id, options: definition.provisioner.options },
    sealKeep: [...definition.sealKeep].sort(),
    // The document counts by what it says, not by its comments.
    files: sorted.filter((file) => file.path !== nameOf(definition.path, folder)),
  };
  return { files: sorted, key: createHash('sha256').update(canonical(facts)).digest('hex') };
}

async function collect(
  path: string,
  folder: string,
  files: Map<string, InputFile>,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const name = nameOf(path, folder);
  if (files.has(name)) return;
  if (files.size >= MAX_INPUTS) {
    throw new DefinitionError(
      'inputs-too-many',
      `${showFile(folder)}: the definition refers to more than ${MAX_INPUTS} files`,
      {
        hint: 'copy an archive instead, and unpack it in a script',
      },
    );
  }
  const facts = await lstat(path);
  const mode = facts.mode & 0o7777;
  if (facts.isDirectory()) {
    for (const entry of (await readdir(path)).sort()) await collect(join(path, entry), folder, files, signal);
  } else if (facts.isSymbolicLink()) {
    const target = Buffer.from(await readlink(path));
    files.set(name, {
      path: name,
      kind: 'link',
      sha256: createHash('sha256').update(target).digest('hex'),
      size: target.length,
      mode,
    });
  } else if (facts.isFile()) {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of createReadStream(path, { signal }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
    }
    files.set(name, { path: name, kind: 'file', sha256: hash.digest('hex'), size, mode });
  } else {
    throw new DefinitionError(
      'input-special',
      `${showFile(path)} is neither a file, a directory nor a link and cannot be copied`,
    );
  }
}

function nameOf(path: string, folder: string): string {
  const way = relative(folder, path);
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way) ? path : way.split(sep).join('/');
}

/** JSON with the keys of every object in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}
