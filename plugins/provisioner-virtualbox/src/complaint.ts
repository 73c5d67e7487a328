/** What a command of VirtualBox complains about. */
export interface Complaint {
  readonly text: string;
  /** Name of the error, such as `VBOX_E_INVALID_OBJECT_STATE`; empty where it names none. */
  readonly code: string;
}

const ERROR = /^.*?(?:VBoxManage|VBoxHeadless)(?:\.exe)?: error: (?:Details: code (\w+)|Context: |(.*))/i;

/** Its first error and that one's code; else the last lines. Progress (`0%...10%`) precedes errors on their line. */
export function complaintOf(output: string): Complaint {
  let text = '';
  let code = '';
  for (const line of output.split('\n')) {
    const [, named, words] = ERROR.exec(line) ?? [];
    if (text === '' && words !== undefined) text = words.trim();
    if (code === '' && named !== undefined) code = named;
  }
  return { text: text === '' ? lastLines(output) : text, code };
}

/** Whether asking again helps: another command still holds the machine, or it is on its way to another state. */
export function isPassing({ text, code }: Complaint): boolean {
  return (
    /object is not ready/i.test(text) ||
    (code === 'VBOX_E_INVALID_OBJECT_STATE' &&
      /already locked|being (?:un)?locked|while it is locked|lock request pending/i.test(text))
  );
}

/** The end of what was said, without progress, for a message. */
export function lastLines(output: string, count = 4): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '' && !/^(?:\d+%\.*)+$/.test(line.trim()));
  return lines.slice(-count).join('\n').trim();
}
