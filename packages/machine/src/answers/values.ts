/** What the names in templates and commands become. */
export type Values = Readonly<Record<string, string>>;

/** What every template may name beside the variables of its own; known only while the machine runs. */
export const BUILD_VALUES = [
  'answers',
  'answers-host',
  'answers-port',
  'ssh-key',
  'ssh-user',
  'name',
  'hostname',
  'version',
] as const;

/** Where a text comes from, for messages. */
export interface TextPlace {
  /** Path of the file. */
  readonly file: string;
  /** Where in the file the text begins; from 1. Absent: at its start. */
  readonly line?: number;
  readonly column?: number;
}

/** The value of a name, or undefined. Names such as `constructor` are no values by accident. */
export function valueOf(values: Values, name: string): string | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
