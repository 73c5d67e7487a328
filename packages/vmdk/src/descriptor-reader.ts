import type { ParentReference } from '@polyvisor/core';
import { contentId, type DescriptorText, NO_PARENT, parseDescriptor, quote } from './descriptor-parser.js';

/** What a reader needs of a descriptor. */
export interface Descriptor {
  readonly createType: string;
  /** Length of the disk, in sectors. */
  readonly sectors: number;
  /** Hexadecimal digits, lower case. */
  readonly contentId: string;
  readonly adapterType: string | undefined;
  readonly hardwareVersion: string | undefined;
  readonly parent: ParentReference | undefined;
}

export interface EmbeddedRules {
  /** Of the header, in sectors, as is the grain. */
  readonly capacity: number;
  readonly grainSectors: number;
  readonly createType: 'streamOptimized' | 'monolithicSparse';
  /** Whether the disk may be the difference to another one. */
  readonly parents: boolean;
}

/** Settings that `inspect` shows. */
const SHOWN: ReadonlySet<string> = new Set(['CID', 'parentCID', 'ddb.adapterType', 'ddb.virtualHWVersion']);

/**
 * Reads the descriptor that is embedded in a sparse extent. Returns what is wrong with it, for people, when it describes
 * anything else than that very file: other readers follow the names in it, to `/etc/passwd` if need be (CVE-2022-47951),
 * so such a file is not let through to them.
 */
export function readDescriptor(text: string, rules: EmbeddedRules): Descriptor | string {
  const parsed = parseDescriptor(text);
  if (typeof parsed === 'string') return parsed;
  return wrongIn(parsed, rules) ?? describe(parsed);
}

/** What all descriptors have in common, once `wrongInSettings` found nothing. */
export function describe({ settings, extents }: DescriptorText): Descriptor {
  const hint = settings.get('parentFileNameHint');
  const parentId = contentId(settings.get('parentCID')) ?? NO_PARENT;
  return {
    createType: settings.get('createType') ?? '',
    sectors: extents.reduce((sum, { sectors }) => sum + sectors, 0),
    contentId: contentId(settings.get('CID')) ?? (settings.get('CID') ?? '').toLowerCase(),
    adapterType: settings.get('ddb.adapterType'),
    hardwareVersion: settings.get('ddb.virtualHWVersion'),
    parent: parentId === NO_PARENT ? undefined : { names: hint === undefined ? [] : [hint], linkId: parentId },
  };
}

/** What is wrong with the settings, whatever the kind of disk. */
export function wrongInSettings(settings: ReadonlyMap<string, string>): string | undefined {
  const version = settings.get('version');
  if (version === undefined || !/^[123]$/.test(version))
    return `the descriptor has version ${quote(version)}, 1 to 3 are known`;
  const parentId = settings.get('parentCID');
  if (parentId !== undefined && contentId(parentId) === undefined)
    return `the descriptor's parentCID is not a number of 32 bits: ${quote(parentId)}`;
  // QEMU opens the file of the hint whatever the parent's number says.
  if (settings.has('parentFileNameHint') && (contentId(parentId) ?? NO_PARENT) === NO_PARENT)
    return 'the descriptor hints at the file of a parent disk, and says that there is no parent disk';
  for (const [key, value] of settings) {
    if (!/^[\x20-\x7e]*$/.test(value) && SHOWN.has(key))
      return `the descriptor's ${key} is not plain text: ${quote(value)}`;
  }
  return undefined;
}

function wrongIn({ settings, extents }: DescriptorText, rules: EmbeddedRules): string | undefined {
  const kind = rules.createType === 'streamOptimized' ? 'a stream' : 'a sparse disk';
  const createType = settings.get('createType');
  if (createType !== rules.createType)
    return `the descriptor says the disk is of type ${quote(createType)}, the header says it is ${rules.createType === 'streamOptimized' ? 'a compressed stream' : 'monolithicSparse'}`;
  const wrong = wrongInSettings(settings);
  if (wrong !== undefined) return wrong;
  if (!rules.parents && (contentId(settings.get('parentCID')) ?? NO_PARENT) !== NO_PARENT)
    return 'the disk is only the difference to a parent disk, which is not read';
  const [extent] = extents;
  if (extent === undefined || extents.length > 1)
    return `the descriptor lists ${extents.length} extents, ${kind} has one`;
  const { sectors, type, name } = extent;
  if (type !== 'SPARSE') return `the descriptor's extent is of type ${type}, ${kind} has SPARSE`;
  if (name !== undefined && /[/\\:]/.test(name))
    return `the descriptor's extent names a path, ${quote(name)}, ${kind} names only itself`;
  if (!fitsCapacity(sectors, rules))
    return `the descriptor's extent has ${sectors} sectors, the header ${rules.capacity}`;
  return undefined;
}

/** Whether a header's capacity is that of the descriptor: VirtualBox rounds it up to whole grains, and goes by the descriptor. */
export function fitsCapacity(
  sectors: number,
  { capacity, grainSectors }: Pick<EmbeddedRules, 'capacity' | 'grainSectors'>,
): boolean {
  return sectors === capacity || (sectors > 0 && Math.ceil(sectors / grainSectors) * grainSectors === capacity);
}
