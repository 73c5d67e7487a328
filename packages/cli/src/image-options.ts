import type { Command } from '@commander-js/extra-typings';
import { collect } from './program.js';

/** How an image is opened: what `addImageOptions` parses. */
export interface ImageOptions {
  /** Its format, then those of its parents; recognised where it is not given. */
  readonly from?: readonly string[] | undefined;
  /** Paths of its parents, the nearest first. */
  readonly parent?: readonly string[] | undefined;
  /** Number or name of the disk, for images with several. */
  readonly disk?: string | undefined;
  /** Where temporary files go. */
  readonly workDir?: string | undefined;
  /** False: what looks like a compressed file is the image itself. */
  readonly expand?: boolean | undefined;
}

/** What `addImageOptions` adds to the options of a command, as commander parses it. */
export interface ParsedImageOptions {
  readonly from?: readonly string[];
  readonly parent?: readonly string[];
  readonly disk?: string;
  readonly workDir?: string;
  readonly expand: boolean;
}

/** Adds the options that every command has which opens an image; `openImage` takes what they parse. */
export function addImageOptions<Arguments extends unknown[], Options extends Record<string, unknown>>(
  command: Command<Arguments, Options>,
): Command<Arguments, Options & ParsedImageOptions> {
  const extended: unknown = command
    .option('--from <format>', 'format of the image, then of each parent, instead of recognising it', collect)
    .option(
      '--parent <image>',
      'image that holds the rest of the disk, nearest first (repeatable); names inside an image are never opened',
      collect,
    )
    .option('--disk <which>', 'number or name of the disk, of an image with several')
    .option(
      '--work-dir <folder>',
      'where a compressed image, or one from a pipe, is expanded; default $TMPDIR or /var/tmp',
    )
    .option('--no-expand', 'take a file that looks compressed as it is');
  // What the compiler infers is too long for a declaration file.
  return extended as Command<Arguments, Options & ParsedImageOptions>;
}
