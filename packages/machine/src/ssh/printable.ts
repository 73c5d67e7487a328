/** What a stranger said, fit for a message: one short line, quoted, nothing in it that a terminal would obey. */
export function printable(bytes: Buffer | string, longest = 60): string {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
  const plain = text.replaceAll(/[^\x20-\x7e]+/g, ' ').trim();
  return `"${plain.length > longest ? `${plain.slice(0, longest)}…` : plain}"`;
}
