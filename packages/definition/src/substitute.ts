/** What a definition may call a variable. */
export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/** The name of a variable in an environment, where hyphens are not allowed. */
export function environmentName(name: string): string {
  return name.replaceAll('-', '_');
}

export interface Substitution {
  readonly text: string;
  /** Names that had no value, and pieces that begin like a variable but are none. */
  readonly problems: readonly ({ readonly name: string } | { readonly malformed: string })[];
}

/**
 * Replaces `${name}` by the value of a variable; `$${` stands for `${` itself, and any other `$` for itself. Values are put in
 * as they are: they are not searched again, so a value can neither name another variable nor grow without end.
 */
export function substitute(text: string, valueOf: (name: string) => string | undefined): Substitution {
  const problems: Substitution['problems'][number][] = [];
  const replaced = text.replaceAll(/\$\$\{|\$\{([^{}\n]*)\}|\$\{/g, (match: string, name: string | undefined) => {
    if (match === '$${') return '${';
    if (name === undefined || !VARIABLE_NAME.test(name)) {
      problems.push({ malformed: match });
      return match;
    }
    const value = valueOf(name);
    if (value === undefined) problems.push({ name });
    return value ?? '';
  });
  return { text: replaced, problems };
}

/** The text that `substitute` turns back into `text`. */
export function escapeText(text: string): string {
  // A function, since `$$` means something else in a replacement given as text.
  return text.replaceAll('${', () => '$${');
}
