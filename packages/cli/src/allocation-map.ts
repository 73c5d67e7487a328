import { type DiskSource, formatBytes } from '@polyvisor/core';
import type { Allocation } from './allocation.js';

/** The most rows that a map takes. */
const ROWS = 4;

/** Narrower or wider than this serves nobody, in characters. */
const WIDTH = { least: 16, most: 128 };

const INDENT = 2;
const LABEL = 10;

/** From empty to full. The parts in between are thirds. */
const SIGNS = ['·', '░', '▒', '▓', '█'] as const;

/** Parts that a map for such a terminal shows. A disk of few sectors has fewer. */
export function mapParts(columns: number): number {
  return ROWS * mapWidth(columns);
}

function mapWidth(columns: number): number {
  return Math.min(WIDTH.most, Math.max(WIDTH.least, columns - INDENT - LABEL - 1));
}

/** A map of what is allocated: rows of characters, each with the position of its first one, and what the characters mean. */
export function allocationMap({ parts, partSize }: Allocation, disk: DiskSource, columns: number): string {
  const width = mapWidth(columns);
  const rows: string[] = [];
  for (let first = 0; first < parts.length; first += width) {
    let row = '';
    for (let index = first; index < Math.min(first + width, parts.length); index++) {
      const whole = Math.min(partSize, disk.size - index * partSize);
      row += signOf((parts[index] ?? 0) / whole);
    }
    rows.push(`${' '.repeat(INDENT)}${positionText(first * partSize).padStart(LABEL)} ${row}`);
  }
  const [empty, ...partly] = SIGNS;
  const full = partly.pop() ?? '';
  const legend = `each ${formatBytes(partSize)}: ${full} data, ${partly.join('')} partly, ${empty} empty`;
  return [...rows, `${' '.repeat(INDENT + LABEL)} ${legend}`].join('\n');
}

/** Something is never drawn as nothing, and not quite everything never as all. */
function signOf(share: number): string {
  const last = SIGNS.length - 1;
  const step = share <= 0 ? 0 : share >= 1 ? last : Math.min(last - 1, 1 + Math.floor(share * (last - 1)));
  return SIGNS[step] ?? '';
}

function positionText(bytes: number): string {
  return bytes === 0 ? '0' : formatBytes(bytes);
}

/** The map within a text, in colours. Anything else has none of its signs in a row. */
export function paintMap(text: string, colors: { green(text: string): string; yellow(text: string): string }): string {
  return text.replaceAll(/█{2,}/g, (run) => colors.green(run)).replaceAll(/[░▒▓]{2,}/g, (run) => colors.yellow(run));
}
