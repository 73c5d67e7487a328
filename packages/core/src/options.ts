import { z } from 'zod';
import { DefinitionError, type Issue } from './errors.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/**
 * Bytes, from a number or from text such as `64k`, `4GiB` or `2 M`. Units are binary, as in every tool of the field.
 * Returns undefined for anything else, and for sizes beyond what a number holds exactly.
 */
export function parseByteSize(value: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(String(value).trim());
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (UNITS[(match[2] ?? '').toLowerCase()] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** An option that is a number of bytes; see `parseByteSize` for what it accepts. */
export function byteSize(): z.ZodType<number, string | number> {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const bytes = parseByteSize(value);
    if (bytes !== undefined) return bytes;
    context.addIssue({
      code: 'custom',
      message: `not a size: ${JSON.stringify(value)}; write bytes, or a number with k, M, G or T, such as 64k`,
    });
    return z.NEVER;
  });
}

/** Checks options against a plugin's schema. Throws one `DefinitionError` that lists every problem; `where` names the place they came from. */
export function parseOptions<Schema extends z.ZodType>(
  where: string,
  schema: Schema,
  options: unknown,
): z.output<Schema> {
  const result = schema.safeParse(options ?? {});
  if (result.success) return result.data;
  const issues: Issue[] = result.error.issues.map((issue) => ({
    file: where,
    message: `${issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''}${issue.message}`,
  }));
  throw new DefinitionError('options-invalid', `${where}: ${issues.map((issue) => issue.message).join('; ')}`, {
    issues,
    hint: `known options: ${optionNames(schema).join(', ') || 'none'}; \`polyvisor plugins\` explains them`,
  });
}

function optionNames(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
