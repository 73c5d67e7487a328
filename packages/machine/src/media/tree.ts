import { mediumInvalid } from './laid-image.js';

/** A file for a medium. */
export interface FileNode {
  readonly kind: 'file';
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A directory for a medium; the root has no name. */
export interface DirectoryNode {
  readonly kind: 'directory';
  readonly name: string;
  readonly children: readonly (DirectoryNode | FileNode)[];
}

interface Growing {
  readonly kind: 'directory';
  readonly name: string;
  readonly children: (Growing | FileNode)[];
  readonly byName: Map<string, Growing | FileNode>;
}

/** Directories below the root, of which ISO 9660 allows seven (ECMA-119 §6.8.2.1). */
const DEEPEST = 7;

/** Turns paths into a tree whose children are sorted by name, so that the order of the files does not matter. */
export function buildTree(files: ReadonlyMap<string, Uint8Array>): DirectoryNode {
  const root = directory('');
  for (const [path, bytes] of files) {
    const parts = path.split('/');
    // eslint-disable-next-line no-control-regex
    if (parts.some((part) => part === '' || part === '.' || part === '..' || /[\x00-\x1f\x7f]/.test(part)))
      throw mediumInvalid(`${JSON.stringify(path)} is no plain relative path`, 'name files as in `folder/file`');
    if (parts.length > DEEPEST + 1)
      throw mediumInvalid(`${path} lies more than ${DEEPEST} directories deep`, 'use fewer directories');
    const name = parts.pop() ?? '';
    add(parts.reduce(childDirectory, root), { kind: 'file', name, bytes });
  }
  return sorted(root);
}

function directory(name: string): Growing {
  return { kind: 'directory', name, children: [], byName: new Map() };
}

function childDirectory(parent: Growing, name: string): Growing {
  const there = parent.byName.get(name);
  if (there?.kind === 'directory') return there;
  const child = directory(name);
  add(parent, child);
  return child;
}

function add(parent: Growing, child: Growing | FileNode): void {
  if (parent.byName.has(child.name))
    throw mediumInvalid(
      `${JSON.stringify(child.name)} is twice in one directory, or a file and a directory at once`,
      'rename one of them',
    );
  parent.byName.set(child.name, child);
  parent.children.push(child);
}

function sorted(node: Growing): DirectoryNode {
  const children = node.children
    .map((child) => (child.kind === 'file' ? child : sorted(child)))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
  return { kind: 'directory', name: node.name, children };
}
