export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows of text in columns as wide as their widest cell. No ruler lines: columns stay easy to cut out by other tools. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, index) => Math.max(...all.map((row) => (row[index] ?? '').length)));
  return all
    .map((row) =>
      columns
        .map(({ align }, index) => {
          const cell = row[index] ?? '';
          return align === 'right' ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
