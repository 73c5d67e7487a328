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

const rule = (
  severity: Rule['severity'],
  reading: Rule['reading'],
  refusedBy: readonly Consumer[],
  hint?: string,
): Rule => ({ severity, reading, refusedBy, ...(hint === undefined ? {} : { hint }) });

/** What cannot be read here, whoever else takes it. */
const fatal = (refusedBy: readonly Consumer[], hint?: string) => rule('error', 'refuse', refusedBy, hint);

const ALL = CONSUMERS;
const HYPERV_AND_QEMU = ['hyperv', 'kvm'] as const;

const REPAIRABLE = '`polyvisor repair` mends it';

/**
 * Everything that is checked, here and nowhere else: reading refuses what `check` calls unreadable. What QEMU refuses was tried,
 * what VirtualBox refuses is known from its sources, what Hyper-V must refuse from [MS-VHDX].
 */
export const RULES = {
  'vhdx-identifier': fatal(ALL, 'the file is not a VHDX, or it was cut off'),
  'vhdx-header': fatal(ALL, 'both headers are lost; without them nothing says where the log is'),
  'vhdx-header-copy': rule('warning', 'warn', [], REPAIRABLE),
  'vhdx-header-sequence': rule('warning', 'accept', [], REPAIRABLE),
  'vhdx-header-ambiguous': fatal(HYPERV_AND_QEMU, 'nothing tells which of the two headers is the current one'),
  'vhdx-version': fatal(ALL, 'a newer polyvisor may know it'),
  'vhdx-log-place': fatal(HYPERV_AND_QEMU),
  'vhdx-log-dirty': rule('warning', 'warn', ['virtualbox'], REPAIRABLE),
  'vhdx-log-lost': fatal(
    ['hyperv', 'virtualbox'],
    'the last changes to its tables are lost; restore a backup (QEMU would open it as if there were no log)',
  ),
  'vhdx-log-size': fatal(['hyperv', 'virtualbox'], 'no program writes such a log'),
  'vhdx-log-target': fatal(['hyperv', 'virtualbox'], 'the log would overwrite what is never changed through it'),
  'vhdx-log-truncated': fatal(ALL, 'the file was cut off after it was last written; copy it again'),
  'vhdx-region-table': fatal(ALL, 'both region tables are damaged'),
  'vhdx-region-table-first': rule('warning', 'warn', ['kvm', 'virtualbox'], REPAIRABLE),
  'vhdx-region-table-second': rule('warning', 'warn', [], REPAIRABLE),
  'vhdx-region-tables-differ': rule('warning', 'warn', [], 'the first one is used, as other programs do'),
  'vhdx-region-count': fatal(ALL),
  'vhdx-region-place': fatal(['hyperv']),
  'vhdx-region-length': rule('error', 'accept', ['hyperv']),
  'vhdx-region-overlap': fatal(HYPERV_AND_QEMU),
  'vhdx-region-duplicate': fatal(HYPERV_AND_QEMU),
  'vhdx-region-unknown': fatal(ALL, 'the image needs something that nobody here knows'),
  'vhdx-region-optional': rule(
    'warning',
    'accept',
    ['virtualbox'],
    'images made by QEMU are like this; convert it anew',
  ),
  'vhdx-region-missing': fatal(ALL),
  'vhdx-metadata-table': fatal(ALL),
  'vhdx-item-place': fatal(['hyperv']),
  'vhdx-item-length': fatal(['hyperv', 'virtualbox']),
  'vhdx-item-overlap': fatal(['hyperv']),
  'vhdx-item-duplicate': fatal(HYPERV_AND_QEMU),
  'vhdx-item-unknown': fatal(ALL, 'the image needs something that nobody here knows'),
  'vhdx-item-flags': rule('error', 'accept', ['virtualbox']),
  'vhdx-item-missing': fatal(HYPERV_AND_QEMU),
  'vhdx-item-absent': rule('error', 'accept', ['hyperv', 'kvm']),
  'vhdx-block-size': fatal(HYPERV_AND_QEMU),
  'vhdx-file-flags': rule('warning', 'accept', []),
  'vhdx-disk-size': fatal(['hyperv']),
  'vhdx-logical-sector': fatal(HYPERV_AND_QEMU),
  'vhdx-logical-sector-4096': rule('warning', 'accept', ['kvm'], 'QEMU reads only disks with sectors of 512 bytes'),
  'vhdx-physical-sector': rule('error', 'accept', ['hyperv']),
  'vhdx-differencing': rule(
    'warning',
    'accept',
    ['kvm', 'virtualbox'],
    'convert it with --parent: the result holds the whole disk',
  ),
  'vhdx-parent-locator': fatal(ALL, 'without it nothing says whose child the image is'),
  'vhdx-bat-size': fatal(ALL),
  'vhdx-bat-state': fatal(['hyperv', 'virtualbox']),
  'vhdx-bat-state-draft': rule('warning', 'warn', ['hyperv']),
  'vhdx-bat-place': fatal(HYPERV_AND_QEMU, 'the image is damaged, or was cut off'),
  'vhdx-bat-overlap': fatal(['hyperv']),
  'vhdx-bat-reserved': rule('warning', 'accept', []),
  'vhdx-bat-bitmap-unused': rule('warning', 'accept', [], 'old versions of QEMU leave such entries; nobody reads them'),
  'vhdx-bat-bitmap-state': fatal(['hyperv']),
  'vhdx-bat-bitmap-missing': fatal(['hyperv']),
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
