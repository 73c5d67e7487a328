import { basename } from 'node:path';
import type { ImageFile } from '@polyvisor/core';
import { isCowd, readCowdHeader } from './cowd-header.js';
import { fitsCapacity } from './descriptor-reader.js';
import type { NamedExtent } from './descriptor-file.js';
import { flatLayer, zeroLayer } from './flat-layer.js';
import { readPartHeader } from './header-reader.js';
import { SECTOR } from './layout.js';
import type { Layer } from './layer.js';
import type { Segment } from './layered-disk.js';
import { damaged, unsupported } from './refusal.js';
import { openSparseLayer, type SparseLayer } from './sparse-layer.js';
import { TableMemory } from './table-reader.js';

export interface OpenExtents {
  readonly segments: readonly Segment[];
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/** Warnings about extents that are passed on one by one; the others are counted. */
const MAX_WARNINGS = 20;

/**
 * Opens the files that a descriptor names, each once, and puts them one behind the other. Only `ImageFile.beside` opens them, so
 * none can be outside the folder. Owns what it opened.
 */
export async function openExtents(file: ImageFile, extents: readonly NamedExtent[]): Promise<OpenExtents> {
  const opened = new Map<string, ImageFile>();
  const close = async () => {
    for (const each of opened.values()) await each[Symbol.asyncDispose]();
    opened.clear();
  };
  const open = async (name: string) => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    if (file.beside === undefined)
      throw unsupported(
        file,
        `this VMDK consists of several files (${JSON.stringify(name)})`,
        'name a file in a folder',
      );
    if (name === basename(file.path)) throw damaged(file, 'the descriptor names itself as an extent', { offset: 0 });
    const extent = await file.beside(name);
    opened.set(name, extent);
    return extent;
  };
  try {
    const memory = new TableMemory();
    const segments: Segment[] = [];
    const warnings: string[] = [];
    let start = 0;
    for (const extent of extents) {
      let layer: Layer;
      if (extent.kind === 'zero') {
        layer = zeroLayer(extent.size);
      } else if (extent.kind === 'flat') {
        layer = openFlat(await open(extent.name), extent);
      } else {
        const sparse = await openSparse(await open(extent.name), extent, memory);
        warnings.push(...sparse.warnings);
        layer = sparse;
      }
      segments.push({ start, layer });
      start += extent.size;
    }
    const more = warnings.length - MAX_WARNINGS;
    return {
      segments,
      warnings: more > 0 ? [...warnings.slice(0, MAX_WARNINGS), `${more} more like these`] : warnings,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function openFlat(file: ImageFile, { offset, size }: NamedExtent): Layer {
  if (offset + size > file.size) {
    throw damaged(file, 'the extent is shorter than the descriptor says', {
      expected: `${offset + size} bytes`,
      found: `${file.size}`,
    });
  }
  return flatLayer(file, offset, size);
}

async function openSparse(file: ImageFile, { size }: NamedExtent, memory: TableMemory): Promise<SparseLayer> {
  const header = (await isCowd(file)) ? await readCowdHeader(file) : await readPartHeader(file);
  if (!fitsCapacity(size / SECTOR, header)) {
    throw damaged(file, 'the extent does not have the size that the descriptor says', {
      expected: `${size / SECTOR} sectors`,
      found: `${header.capacity}`,
    });
  }
  return openSparseLayer(file, { ...header, capacity: size / SECTOR }, memory);
}
