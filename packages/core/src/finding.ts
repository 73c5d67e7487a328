/** One rule that an image breaks. */
export interface Finding {
  /** Stable name of the rule, in kebab-case, the format first: `vhd-footer-checksum`. */
  readonly rule: string;
  /** `error`: the format's text forbids it, or data cannot be read. `warning`: it is allowed, and yet unwise. */
  readonly severity: 'error' | 'warning';
  /** What is wrong, in one line, without the place. */
  readonly message: string;
  /** Consumers (`ConverterCapabilities.consumers`) that refuse the image for it. Empty: all of them tolerate it. */
  readonly refusedBy: readonly string[];
  /** Byte offset in the file at which the offending field or data starts. */
  readonly offset?: number;
  readonly expected?: string;
  readonly found?: string;
  /** What to do about it. */
  readonly hint?: string;
}
