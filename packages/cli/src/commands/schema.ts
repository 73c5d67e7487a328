import { definitionSchema } from '@polyvisor/definition';
import { DefinitionError } from '@polyvisor/core';
import type { Configure } from '../program.js';

export const configure: Configure = (command, session) => {
  command
    .argument('[id]', 'format or provisioner whose options to print instead')
    .addHelpText(
      'after',
      `
Editors check definitions while one types when the first line of the definition says where the schema is:
  # yaml-language-server: $schema=./definition.schema.json

Examples:
  $ polyvisor schema > definition.schema.json
  $ polyvisor schema qcow2`,
    )
    .action(async (id) => {
      const run = session();
      if (id === undefined)
        return run.answer({ command: 'schema', schema: definitionSchema() }, text(definitionSchema()));
      const described = (await run.host())
        .plugins()
        .flatMap(({ converters, provisioners }) => [...converters, ...provisioners]);
      const options = described.find((one) => one.id === id)?.options;
      if (options === undefined) {
        throw new DefinitionError('contribution-unknown', `no plugin brings options for ${id}`, {
          hint: `known: ${described.map((one) => one.id).join(', ')}`,
        });
      }
      run.answer({ command: 'schema', id, schema: options }, text(options));
    });
};

function text(schema: object): string {
  return JSON.stringify(schema, undefined, 2);
}
