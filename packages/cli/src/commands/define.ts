import { createDefinition } from '@polyvisor/definition';
import { join, resolve } from 'node:path';
import { shown } from '../artifact-table.js';
import { definitionFolders, inFolder } from '../definition.js';
import type { Configure } from '../program.js';

export const configure: Configure = (command, session) => {
  command
    .argument('<name>', 'name of the new definition')
    .option('--from <definition>', 'copy this definition, given by name, folder or file, instead of a small example')
    .option('--into <folder>', "folder for the new one; by default the project's first folder of definitions")
    .addHelpText(
      'after',
      `
Nothing that exists is touched.

Examples:
  $ polyvisor define web-server
  $ polyvisor define my-debian --from debian-12`,
    )
    .action(async (name, { from, into }) => {
      const run = session();
      const { cwd } = run.io;
      const folders = await definitionFolders(run);
      const path = await createDefinition({
        name,
        into: into === undefined ? (folders[0] ?? join(cwd, 'definitions')) : resolve(cwd, into),
        ...(from === undefined ? {} : { from: inFolder(from, cwd) }),
        searchFolders: folders,
      });
      run.answer(
        { command: 'define', name, path },
        `${shown(path, cwd)}\n\nNext: edit it, then run: polyvisor validate ${name}`,
      );
    });
};
