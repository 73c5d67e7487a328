/** What a reader needs of a descriptor. */
export interface Descriptor {
  /** Length of the disk, in sectors. */
  readonly sectors: number;
  /** Hexadecimal digits, lower case. */
  readonly contentId: string;
  readonly adapterType: string | undefined;
  readonly hardwareVersion: string | undefined;
}

/** Lines of a descriptor beyond which it is taken for something else; real ones have some thirty. */
const MAX_LINES = 1000;

const EXTENT = /^(?:RW|RDONLY|NOACCESS)\s+(\d{1,15})\s+([A-Z0-9]+)(?:\s+"([^"]*)")?/;
/** Settings that `inspect` shows. */
const SHOWN: ReadonlySet<string> = new Set(['CID', 'ddb.adapterType', 'ddb.virtualHWVersion']);

const SETTING = /^([\w.]+)\s*=\s*(.*?)\s*$/;

/**
 * Reads the descriptor that is embedded in a stream-optimized disk of `capacity` sectors in grains of `grainSectors`. Returns what is wrong with
 * it, for people, when it describes anything else than that very file: other readers follow the names in it, to
 * `/etc/passwd` if need be (CVE-2022-47951), so such a file is not let through to them.
 */
export function readDescriptor(text: string, capacity: number, grainSectors: number): Descriptor | string {
  const lines = text.split(/\r?\n/, MAX_LINES + 1);
  if (lines.length > MAX_LINES) return `the descriptor has more than ${MAX_LINES} lines`;
  const settings = new Map<string, string>();
  const extents: RegExpExecArray[] = [];
  for (const line of lines.map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const extent = EXTENT.exec(line);
    if (extent !== null) {
      extents.push(extent);
      continue;
    }
    const [, key, value] = SETTING.exec(line) ?? [];
    if (key === undefined || value === undefined)
      return `the descriptor has a line that is neither a setting nor an extent: ${quote(line)}`;
    if (settings.has(key)) return `the descriptor says ${key} twice`;
    settings.set(key, value.replace(/^"(.*)"$/, '$1'));
  }
  return (
    wrongIn(settings, extents, capacity, grainSectors) ?? {
      sectors: Number(extents[0]?.[1]),
      contentId: (settings.get('CID') ?? '').toLowerCase(),
      adapterType: settings.get('ddb.adapterType'),
      hardwareVersion: settings.get('ddb.virtualHWVersion'),
    }
  );
}

function wrongIn(
  settings: ReadonlyMap<string, string>,
  extents: readonly RegExpExecArray[],
  capacity: number,
  grainSectors: number,
): string | undefined {
  const version = settings.get('version');
  if (version === undefined || !/^[123]$/.test(version))
    return `the descriptor has version ${quote(version)}, 1 to 3 are known`;
  const createType = settings.get('createType');
  if (createType !== 'streamOptimized')
    return `the descriptor says the disk is of type ${quote(createType)}, the header says it is a compressed stream`;
  const parent = settings.get('parentCID') ?? 'ffffffff';
  if (parent.toLowerCase() !== 'ffffffff' || settings.has('parentFileNameHint'))
    return 'the disk is only the difference to a parent disk, which is not read';
  const [extent] = extents;
  if (extent === undefined || extents.length > 1)
    return `the descriptor lists ${extents.length} extents, a stream has one`;
  const [, sectors, type, name] = extent;
  if (type !== 'SPARSE') return `the descriptor's extent is of type ${type ?? ''}, a stream has SPARSE`;
  if (name !== undefined && /[/\\:]/.test(name))
    return `the descriptor's extent names a path, ${quote(name)}, a stream names only itself`;
  // VirtualBox rounds the header up to whole grains, and goes by the descriptor.
  if (Number(sectors) !== capacity && Math.ceil(Number(sectors) / grainSectors) * grainSectors !== capacity)
    return `the descriptor's extent has ${sectors ?? ''} sectors, the header ${capacity}`;
  for (const [key, value] of settings) {
    if (!/^[\x20-\x7e]*$/.test(value) && SHOWN.has(key))
      return `the descriptor's ${key} is not plain text: ${quote(value)}`;
  }
  return undefined;
}

/** For a message: what a stranger wrote, cut short and without characters that a terminal would obey. */
function quote(text: string | undefined): string {
  return text === undefined ? '(none)' : JSON.stringify(text.slice(0, 60));
}
