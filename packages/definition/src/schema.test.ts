import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { format } from 'prettier';
import { describe, expect, it } from 'vitest';
import { definitionDocument, definitionSchema, isTextPath, SCHEMA_ID } from './schema.js';

const FILE = join(import.meta.dirname, '../../../docs/definition.schema.json');

interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
}

function* objects(schema: Schema, path: string): Generator<[string, Schema]> {
  if (schema.properties !== undefined) yield [path, schema];
  for (const [key, property] of Object.entries(schema.properties ?? {})) yield* objects(property, `${path}.${key}`);
  if (schema.items !== undefined) yield* objects(schema.items, `${path}[]`);
  for (const branch of schema.anyOf ?? []) yield* objects(branch, path);
  if (typeof schema.additionalProperties === 'object') yield* objects(schema.additionalProperties, `${path}.*`);
}

describe('the JSON Schema of definitions', () => {
  it('is the one in docs/ (UPDATE_SCHEMA=1 writes it anew)', async () => {
    const emitted = await format(JSON.stringify(definitionSchema()), { parser: 'json', printWidth: 120 });
    if (process.env['UPDATE_SCHEMA'] === '1') await writeFile(FILE, emitted);
    expect(await readFile(FILE, 'utf8')).toBe(emitted);
  });

  it('has an id, a title and a dialect', () => {
    expect(definitionSchema()).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: SCHEMA_ID,
      title: 'polyvisor appliance definition',
    });
  });

  it('describes every key, all of them in kebab-case', () => {
    const all = [...objects(definitionSchema() as Schema, '')];
    expect(all.length).toBeGreaterThanOrEqual(11);
    for (const [path, schema] of all) {
      for (const [key, property] of Object.entries(schema.properties ?? {})) {
        expect(property.description, `${path}.${key}`).toMatch(/\w.*[.…]$/);
        expect(key, path).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
      }
    }
  });

  it('asks only for what has no default, and refuses unknown keys but for options of plugins', () => {
    const schema = definitionSchema() as Schema;
    expect(schema.required).toEqual(['name', 'version', 'source']);
    const open = [...objects(schema, '')]
      .filter(([, each]) => each.additionalProperties !== false)
      .map(([path]) => path);
    expect(open).toEqual(['.targets[]', '.provisioner']);
  });

  it('allows numbers where the reader takes them as they are written', () => {
    for (const value of [1.1, '1.1']) expect(definitionDocument.shape.version.safeParse(value).success).toBe(true);
    expect(isTextPath(['version'])).toBe(true);
    expect(isTextPath(['scripts', 3, 'environment', 'PORT'])).toBe(true);
    expect(isTextPath(['scripts', 3, 'timeout'])).toBe(false);
    expect(isTextPath(['cpus'])).toBe(false);
  });
});
