import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DefinitionError, EnvironmentError, formatBytes, type Identity } from '@polyvisor/core';
import { GETFATTR, parseAttributes } from './attributes.js';
import { atOffset, MKE2FS_CONFIG, mke2fsArguments, populateCommands } from './ext4.js';
import type { Layout, PlacedPartition } from './layout.js';
import { NAME_BYTES, nameBytes } from './name-bytes.js';
import type { Sandbox } from './sandbox.js';
import { FIND_TREE, parseDevices, parseTree, subtree, type TreeEntry } from './tree.js';

export interface PopulateJob {
  readonly sandbox: Sandbox;
  readonly disk: string;
  readonly layout: Layout;
  readonly identity: Identity;
  readonly workDir: string;
}

/** Puts the guest's tree into the ext4 file systems of the disk. Nothing of the guest may be mounted any more. */
export async function populateFilesystems(job: PopulateJob): Promise<void> {
  const tree = await readTree(job);
  const config = join(job.workDir, 'mke2fs.conf');
  await writeFile(config, MKE2FS_CONFIG);
  const mounts = job.layout.partitions.flatMap(({ mount }) => (mount === undefined ? [] : [mount]));
  for (const partition of job.layout.partitions) {
    if (partition.filesystem !== 'ext4' || partition.mount === undefined) continue;
    await populate(job, partition, subtree(tree, partition.mount, mounts), config);
  }
}

/** The tree as it is now. Lists go through files: they have no limit, and names need not be text. */
async function readTree({ sandbox, workDir }: PopulateJob): Promise<TreeEntry[]> {
  const list = join(workDir, 'tree');
  const devices = join(workDir, 'devices');
  const attributes = join(workDir, 'attributes');
  await sandbox.shell(
    `cd "$1"; list=$2 devices=$3 attributes=$4; shift 4
    find . "$@" >"$list"
    find . -xdev \\( -type b -o -type c \\) -exec stat --printf '%t\\0%T\\0%n\\0' {} + >"$devices"
    getfattr ${GETFATTR.join(' ')} >"$attributes"`,
    [sandbox.root, list, devices, attributes, ...FIND_TREE],
  );
  const found = parseAttributes(await readFile(attributes, NAME_BYTES));
  await rm(attributes);
  await mkdir(attributes);
  for (const [name, value] of found.values) await writeFile(join(attributes, name), value);
  return parseTree(await readFile(list, NAME_BYTES), {
    devices: parseDevices(await readFile(devices, NAME_BYTES)),
    attributes: found.byPath,
  });
}

async function populate(
  { sandbox, disk, identity, workDir }: PopulateJob,
  partition: PlacedPartition,
  tree: readonly TreeEntry[],
  config: string,
): Promise<void> {
  const { label, offset, length, uuid } = partition;
  const script = join(workDir, `${label}.debugfs`);
  const complaints = join(workDir, `${label}.complaints`);
  const commands = populateCommands(tree, {
    from: nameBytes(sandbox.root),
    latest: identity.time,
    attributes: nameBytes(join(workDir, 'attributes')),
  });
  await writeFile(script, `${[...commands].join('\n')}\n`, NAME_BYTES);
  const env = { MKE2FS_CONFIG: config, E2FSPROGS_FAKE_TIME: String(Math.max(1, identity.time)) };
  const volume = { disk, offset, length, uuid, label, hashSeed: identity.uuid(`hash ${label}`) };
  await sandbox.run('mke2fs', mke2fsArguments(volume), { env });
  await sandbox.shell('debugfs -w -f "$1" "$2" >/dev/null 2>"$3"', [script, atOffset(disk, offset), complaints], {
    env,
  });
  // debugfs goes on after an error and ends well all the same; only its version belongs on this stream.
  const said = (await readFile(complaints, 'utf8')).split('\n').filter((line) => !/^(?:debugfs \d.*)?$/.test(line));
  if (said.some((line) => /No space|Could not allocate (?:block|inode)/i.test(line))) {
    throw new DefinitionError(
      'disk-too-small',
      `the system does not fit the file system ${label} of ${formatBytes(length)}`,
      {
        hint: 'set a larger disk.size (or partition), or install less',
      },
    );
  }
  if (said.length > 0) {
    throw new EnvironmentError(
      'filesystem-failed',
      `debugfs could not fill the file system ${label}: ${said.slice(0, 3).join('; ')}`,
      {
        hint: 'e2fsprogs 1.46 or later is needed; `debugfs -V` says which one this is',
      },
    );
  }
  await sandbox.run('e2fsck', ['-fn', atOffset(disk, offset)], { env });
}
