import { cp, lstat, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { DefinitionError, EnvironmentError, makeDirectory } from '@polyvisor/core';
import { isMap, isScalar, parseDocument } from 'yaml';
import { DEFINITION_FILE, findDefinition, showFile } from './find.js';
import { definitionDocument } from './schema.js';
import { starterDefinition, STARTER_SCRIPT } from './starter.js';

export interface CreateOptions {
  readonly name: string;
  /** Folder that holds definitions; the new one gets a folder of its name in it. Made when missing. */
  readonly into: string;
  /** A definition, by path or name, to begin with; absent: a small commented one. */
  readonly from?: string;
  /** Where `from` is looked up by name. */
  readonly searchFolders?: readonly string[];
}

/** Writes a new definition and returns the path of its document. Refuses to touch anything that exists. */
export async function createDefinition(options: CreateOptions): Promise<string> {
  const name = definitionDocument.shape.name.safeParse(options.name);
  if (!name.success) {
    throw new DefinitionError('definition-name', name.error.issues[0]?.message ?? 'not a name', {
      hint: 'such as my-server',
    });
  }
  const folder = join(options.into, name.data);
  const exists = (path: string) =>
    lstat(path).then(
      () => true,
      () => false,
    );
  if (await exists(folder)) throw alreadyThere(folder);
  const from = options.from === undefined ? undefined : await findDefinition(options.from, options.searchFolders);

  let draft: string | undefined;
  try {
    await makeDirectory(options.into);
    // Written beside its place and moved there whole, so that a run which is cut off leaves no half of a definition.
    draft = await mkdtemp(join(options.into, `.${name.data}-`));
    const content = join(draft, name.data);
    if (from === undefined) {
      await mkdir(join(content, 'scripts'), { recursive: true });
      await writeFile(join(content, DEFINITION_FILE), starterDefinition(name.data));
      await writeFile(join(content, 'scripts', 'setup.sh'), STARTER_SCRIPT, { mode: 0o755 });
    } else {
      await copyDefinition(from.path, from.file, content, name.data);
    }
    // Another run may have made the folder meanwhile; a folder with something in it is never replaced by `rename`.
    if (await exists(folder)) throw alreadyThere(folder);
    await rename(content, folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTEMPTY') throw alreadyThere(folder);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new EnvironmentError('definition-write', `could not write ${showFile(folder)}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    if (draft !== undefined) await rm(draft, { recursive: true, force: true });
  }
  return join(folder, DEFINITION_FILE);
}

async function copyDefinition(path: string, file: string, to: string, name: string): Promise<void> {
  const source = dirname(path);
  const text = renamed(await readFile(path, 'utf8'), name, file);
  await cp(source, to, {
    recursive: true,
    verbatimSymlinks: true,
    // The document is written below; what builds have left behind is not part of a definition.
    filter: (entry) => entry !== path && relative(source, entry) !== 'artifacts' && !entry.endsWith('.git'),
  });
  await writeFile(join(to, DEFINITION_FILE), text);
}

/** Changes the name in place, so that comments and layout stay as they are. */
function renamed(text: string, name: string, file: string): string {
  const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: false });
  const node = isMap(document.contents) ? document.contents.get('name', true) : undefined;
  const range = isScalar(node) ? node.range : undefined;
  if (document.errors.length > 0 || range == null) {
    throw new DefinitionError(
      'definition-invalid',
      `${file} has no name to replace; check it with \`polyvisor validate ${file}\``,
    );
  }
  return `${text.slice(0, range[0])}${name}${text.slice(range[1])}`;
}

function alreadyThere(folder: string): DefinitionError {
  return new DefinitionError('definition-exists', `${showFile(folder)} is there already and is left as it is`, {
    hint: 'choose another name, or remove the folder first',
  });
}
