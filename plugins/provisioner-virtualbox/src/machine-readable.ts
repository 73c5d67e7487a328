/** What `--machinereadable` prints, by name. Lines of any other kind are skipped: wrappers print warnings before, other parts lists between. */
export function parseMachineReadable(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const match = /^(?:"((?:[^"\\]|\\.)+)"|([^\s"=][^"=]*))=(.*)$/.exec(line);
    if (match === null) continue;
    const [, quoted, plain = '', value = ''] = match;
    values.set(quoted === undefined ? plain : unescape(quoted), unquote(value));
  }
  return values;
}

/** Text without its quotes; numbers, and what goes on after a closing quote, as they are. */
function unquote(value: string): string {
  const inner = /^"((?:[^"\\]|\\.)*)"$/.exec(value)?.[1];
  return inner === undefined ? value : unescape(inner);
}

function unescape(text: string): string {
  return text.replace(/\\(["\\])/g, '$1');
}
