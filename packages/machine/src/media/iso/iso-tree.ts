import type { DirectoryNode, FileNode } from '../tree.js';

/** A file or directory with the name that one of the two hierarchies gives it. */
export interface IsoEntry {
  readonly node: DirectoryNode | FileNode;
  readonly identifier: Buffer;
  /** For directories: its number in `IsoTree.directories`. */
  readonly directory?: number;
}

export interface IsoDirectory {
  readonly node: DirectoryNode;
  /** Empty for the root. */
  readonly identifier: Buffer;
  readonly parent: number;
  /** Sorted by identifier, as the standard wants it. */
  readonly entries: readonly IsoEntry[];
}

/** A hierarchy: its directories in the order of the path table, the root first. */
export type IsoTree = readonly IsoDirectory[];

/** Sorts and numbers a tree under the identifiers that `identify` gives to the children of a directory. */
export function hierarchy(
  root: DirectoryNode,
  identify: (children: readonly (DirectoryNode | FileNode)[]) => Buffer[],
): IsoTree {
  const found: IsoDirectory[] = [];
  let level: { node: DirectoryNode; identifier: Buffer; parent: number }[] = [
    { node: root, identifier: Buffer.alloc(0), parent: 0 },
  ];
  // Level by level: the path table goes by depth, then by the parent's number, then by identifier (ECMA-119 §6.9.1).
  while (level.length > 0) {
    const below: typeof level = [];
    const first = found.length + level.length;
    for (const each of level) {
      const number = found.length;
      const identifiers = identify(each.node.children);
      const entries = each.node.children
        .map((node, n) => ({ node, identifier: identifiers[n] ?? Buffer.alloc(0) }))
        .sort((left, right) => Buffer.compare(left.identifier, right.identifier))
        .map(({ node, identifier }): IsoEntry => {
          if (node.kind === 'file') return { node, identifier };
          below.push({ node, identifier, parent: number });
          return { node, identifier, directory: first + below.length - 1 };
        });
      found.push({ ...each, entries });
    }
    level = below;
  }
  return found;
}
