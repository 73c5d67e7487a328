import { FormatError, type Finding, type ImageFile } from '@polyvisor/core';

export interface Rule {
  readonly severity: Finding['severity'];
  readonly refusedBy: readonly Consumer[];
  /** What reading does about it: refuses, tells, or takes it as it is. */
  readonly reading: 'refuse' | 'warn' | 'accept';
  readonly hint?: string;
}

export const CONSUMERS = ['hyperv', 'kvm', 'virtualbox'] as const;
type Consumer = (typeof CONSUMERS)[number];

const fatal = (hint?: string): Rule => ({
  severity: 'error',
  refusedBy: CONSUMERS,
  reading: 'refuse',
  ...(hint === undefined ? {} : { hint }),
});
const rule = (
  severity: Rule['severity'],
  reading: Rule['reading'],
  refusedBy: readonly Consumer[],
  hint?: string,
): Rule => ({ severity, reading, refusedBy, ...(hint === undefined ? {} : { hint }) });

const REPAIRABLE = '`polyvisor repair` mends it';

/**
 * Everything that is checked, here and nowhere else: reading refuses what `check` calls unreadable. What QEMU and VirtualBox do is
 * known from their sources, what Hyper-V does from [MS-VHDX].
 */
export const RULES = {
  'vhdx-identifier': fatal('the file is not a VHDX, or it was cut off'),
  'vhdx-header': fatal('both headers are lost; without them nothing says where the log is'),
  'vhdx-header-copy': rule('warning', 'warn', [], REPAIRABLE),
  'vhdx-header-sequence': rule('warning', 'accept', [], REPAIRABLE),
  'vhdx-header-ambiguous': fatal('nothing tells which of the two headers is the current one'),
  'vhdx-version': fatal('a newer polyvisor may know it'),
  'vhdx-log-place': fatal(),
  'vhdx-log-dirty': rule('warning', 'warn', ['virtualbox'], REPAIRABLE),
  'vhdx-log-lost': fatal('the last changes to the tables are lost; attach it once to Hyper-V, or take a backup'),
  'vhdx-log-size': fatal('no program writes such a log'),
  'vhdx-log-target': fatal('the log would overwrite what is never changed through it'),
  'vhdx-log-truncated': fatal('the file was cut off after it was last written; copy it again'),
  'vhdx-region-table': fatal('both region tables are damaged'),
  'vhdx-region-table-first': rule('warning', 'warn', ['kvm', 'virtualbox'], REPAIRABLE),
  'vhdx-region-table-second': rule('warning', 'warn', [], REPAIRABLE),
  'vhdx-region-tables-differ': rule('warning', 'warn', [], 'the first one is used, as other programs do'),
  'vhdx-region-count': fatal(),
  'vhdx-region-place': fatal(),
  'vhdx-region-length': rule('error', 'accept', ['hyperv']),
  'vhdx-region-overlap': fatal(),
  'vhdx-region-duplicate': fatal(),
  'vhdx-region-unknown': fatal('the image needs something that nobody here knows'),
  'vhdx-region-optional': rule(
    'warning',
    'accept',
    ['virtualbox'],
    'images made by QEMU are like this; convert it anew',
  ),
  'vhdx-region-missing': fatal(),
  'vhdx-metadata-table': fatal(),
  'vhdx-item-place': fatal(),
  'vhdx-item-length': fatal(),
  'vhdx-item-overlap': fatal(),
  'vhdx-item-duplicate': fatal(),
  'vhdx-item-unknown': fatal('the image needs something that nobody here knows'),
  'vhdx-item-flags': rule('error', 'accept', ['virtualbox']),
  'vhdx-item-missing': fatal(),
  'vhdx-item-absent': rule('error', 'accept', ['hyperv', 'kvm']),
  'vhdx-block-size': fatal(),
  'vhdx-file-flags': rule('warning', 'accept', []),
  'vhdx-disk-size': fatal(),
  'vhdx-logical-sector': fatal(),
  'vhdx-logical-sector-4096': rule('warning', 'accept', ['kvm'], 'QEMU reads only disks with sectors of 512 bytes'),
  'vhdx-physical-sector': rule('error', 'accept', ['hyperv']),
  'vhdx-differencing': rule(
    'warning',
    'accept',
    ['kvm', 'virtualbox'],
    'convert it with --parent: the result holds the whole disk',
  ),
  'vhdx-parent-locator': fatal('without it nothing says whose child the image is'),
  'vhdx-bat-size': fatal(),
  'vhdx-bat-state': fatal(),
  'vhdx-bat-state-draft': rule('warning', 'warn', ['hyperv']),
  'vhdx-bat-place': fatal('the image is damaged, or was cut off'),
  'vhdx-bat-overlap': fatal(),
  'vhdx-bat-reserved': rule('warning', 'accept', []),
  'vhdx-bat-bitmap-unused': rule('warning', 'accept', [], 'old versions of QEMU leave such entries; nobody reads them'),
  'vhdx-bat-bitmap-state': fatal(),
  'vhdx-bat-bitmap-missing': fatal(),
  'vhdx-block-cut': rule('error', 'accept', ['hyperv'], REPAIRABLE),
} as const satisfies Record<string, Rule>;

export type RuleName = keyof typeof RULES;

/** Where something is wrong, as in `Finding`. */
export interface Place {
  readonly offset?: number;
  readonly expected?: string;
  readonly found?: string;
}

/** Told by the parsers of everything that breaks a rule. Returns, or throws: a parser must be ready for both. */
export type Report = (rule: RuleName, message: string, place?: Place) => void;

/** For reading: refuses what cannot be read, and gathers in `warnings` what a person should know. */
export function refusing(file: ImageFile, warnings: string[] = []): Report {
  return (name, message, place = {}) => {
    const { reading, hint }: Rule = RULES[name];
    if (reading === 'refuse') throw new FormatError(name, message, { file: file.path, ...place, hint });
    if (reading === 'warn') warnings.push(message);
  };
}

/** Findings told one by one, for each rule; a hostile file may have millions. */
const MAX_FINDINGS = 32;

/** For `check`: gathers findings, so many of each rule and then their number. */
export class Findings {
  readonly #counts = new Map<RuleName, number>();
  #pending: Finding[] = [];

  readonly report: Report = (name, message, place = {}) => {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    if (count <= MAX_FINDINGS) this.#pending.push(finding(name, message, place));
  };

  /** What came since the last call. */
  take(): readonly Finding[] {
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }

  /** One finding for each rule of which some were left out. */
  rest(): readonly Finding[] {
    return [...this.#counts]
      .filter(([, count]) => count > MAX_FINDINGS)
      .map(([name, count]) => finding(name, `and ${count - MAX_FINDINGS} more of this kind`, {}));
  }
}

function finding(name: RuleName, message: string, place: Place): Finding {
  const { severity, refusedBy, hint }: Rule = RULES[name];
  return { rule: name, severity, refusedBy, message, ...place, ...(hint === undefined ? {} : { hint }) };
}
