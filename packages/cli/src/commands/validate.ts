import { sourceText } from '@polyvisor/build';
import { formatBytes } from '@polyvisor/core';
import { openDefinition } from '../definition.js';
import { collect, type Configure } from '../program.js';

export const configure: Configure = (command, session) => {
  command
    .argument('<definition>', 'name, folder or file of a definition')
    .option('--var <name=value>', 'give a variable a value (repeatable)', collect)
    .option('--var-file <file>', 'file with values for variables: YAML, JSON or name=value lines (repeatable)', collect)
    .addHelpText(
      'after',
      `
Every problem is listed at once, as file:line:column, those of targets and their options included.

Examples:
  $ polyvisor validate debian-12
  $ polyvisor validate ./definitions/mine/definition.yaml --var hostname=web1`,
    )
    .action(async (argument, options) => {
      const run = session();
      const definition = await openDefinition(run, argument, options);
      const { appliance, targets, provisioner, file } = definition;
      const formats = targets.map(({ id }) => id);
      run.answer(
        {
          command: 'validate',
          file,
          valid: true,
          name: appliance.name,
          version: appliance.version,
          architecture: appliance.architecture,
          size: appliance.disk.size,
          sources: definition.sources.map((source) => sourceText(source)),
          targets: formats,
          ...(provisioner === undefined ? {} : { provisioner: provisioner.id }),
        },
        `${file} is valid: ${appliance.name} ${appliance.version} (${appliance.architecture}, disk of ${formatBytes(appliance.disk.size)}), ` +
          `from ${definition.sources.map(sourceText).join(', else ')}, ` +
          `targets: ${formats.join(', ') || 'none named, the command chooses'}`,
      );
    });
};
