import { DefinitionError } from '@polyvisor/core';

/** One word of a POSIX shell, whatever is in it. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command from its words. */
export function shellWords(words: readonly string[]): string {
  return words.map(shellQuote).join(' ');
}

/** Lines that put variables into the environment of a shell. */
export function exportLines(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes('\0')) {
        throw new DefinitionError('environment-invalid', `${JSON.stringify(name)} cannot be a variable of a script`, {
          hint: 'names have letters, digits and "_", and do not begin with a digit; values have no zero byte',
        });
      }
      return `export ${name}=${shellQuote(value)}\n`;
    })
    .join('');
}
