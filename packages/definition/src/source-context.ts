import type { Architecture } from '@polyvisor/core';
import type { DocumentPath } from './document.js';
import type { Report } from './rules.js';
import type { Variable } from './variables.js';

/** Where this machine's own apt gets its packages from. */
export interface MachineArchive {
  readonly mirror?: string;
  readonly proxy?: string;
}

/** What the reading of a source needs of the document in which it stands. */
export interface SourceContext {
  /** Folder of the definition. */
  readonly folder: string;
  /** Folder in which the command runs: what a person types counts from there. */
  readonly currentFolder: string;
  readonly architecture: Architecture;
  readonly variables: ReadonlyMap<string, Variable>;
  /** Whether this is the only source; then a file that is missing is a mistake, else the next source may be there. */
  readonly alone: boolean;
  readonly report: Report;
  /** Reports a problem in another file of the definition. Lines and columns count from 1. */
  reportIn(file: string, line: number, column: number, message: string, hint: string): void;
  /** Value of the variable with which the text at a path begins, if the user gave it. */
  givenAt(path: DocumentPath): string | undefined;
  /** A file of the definition; problems are reported. */
  file(text: string, path: DocumentPath, others?: readonly string[]): Promise<string | undefined>;
  /** A value that no log may show. */
  hide(secret: string): void;
  machineArchive(): Promise<MachineArchive>;
}
