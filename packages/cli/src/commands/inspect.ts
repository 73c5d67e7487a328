import { mapParts, paintMap } from '../allocation-map.js';
import { openImage, storedSize } from '../image.js';
import { addImageOptions } from '../image-options.js';
import { readContents } from '../inspect/contents.js';
import { type Inspection, inspectionText } from '../inspect/text.js';
import type { Configure } from '../program.js';

export const configure: Configure = (command, session) => {
  addImageOptions(command.argument('<image>', 'disk image, of any format that a plugin reads'))
    .addHelpText(
      'after',
      `
Tells format, sizes, identities, snapshots, parent, what is allocated, partitions, file systems with label and UUID, and under
which firmware the disk looks like it boots. Little is read, whatever the size of the disk.

Examples:
  $ polyvisor inspect disk.qcow2
  $ polyvisor inspect child.vhdx --parent base.vhdx
  $ polyvisor inspect disk.img --from raw --json | jq .virtualSize`,
    )
    .action(async (path, options) => {
      const run = session();
      const notes: string[] = [];
      const unobserve = run.observe((event) => {
        if (event.type === 'log' && event.scope === 'format') notes.push(event.message);
      });
      await using image = await openImage(run, path, options);
      unobserve();
      const { opened } = image;
      const columns = run.io.stdout.columns ?? 80;
      const contents = await readContents(opened.disk, mapParts(columns), run.signal);
      const found: Inspection = {
        path,
        format: image.converter.id,
        summary: image.converter.summary,
        fileSize: image.file.size,
        stored: await storedSize(run, path),
        opened,
        contents,
        ...(options.parent?.[0] === undefined ? {} : { parentPath: options.parent[0] }),
        warnings: [...notes, ...(opened.warnings ?? []), ...(contents?.warnings ?? [])],
      };
      run.answer({ command: 'inspect', ...forMachines(found) }, inspectionText(found, columns), paintMap);
    });
};

function forMachines({ opened, contents, warnings, path, format, fileSize, stored }: Inspection): object {
  const { disk, facts, linkId, parent, snapshots, disks } = opened;
  return {
    path,
    format,
    virtualSize: disk.size,
    fileSize,
    stored,
    facts,
    ...(linkId === undefined ? {} : { linkId }),
    ...(parent === undefined ? {} : { parent }),
    ...(snapshots === undefined ? {} : { snapshots }),
    ...(disks === undefined ? {} : { disks }),
    ...(contents === undefined
      ? { readable: false }
      : {
          readable: true,
          allocated: contents.allocation.allocated,
          allocation: { partSize: contents.allocation.partSize, parts: [...contents.allocation.parts] },
          partitionTable: {
            ...contents.table,
            partitions: contents.partitions,
            problems: contents.table.problems.map(({ message }) => message),
          },
          ...(contents.fileSystem === undefined ? {} : { fileSystem: contents.fileSystem }),
          boot: contents.boot,
        }),
    warnings,
  };
}
