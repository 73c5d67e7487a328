import { Command, type Help } from '@commander-js/extra-typings';
import { knownConsumers } from '../check/consumers.js';
import { completionScript, type CompletionModel, SHELLS } from '../completion-script.js';
import { COMMANDS, configureCommand, createProgram, type Configure } from '../program.js';
import type { Session } from '../session.js';

export const configure: Configure = (command, session) => {
  command
    .argument('<shell>', SHELLS.join(', '))
    .addHelpText(
      'after',
      `
The script knows the formats and consumers that were loaded when it was printed.

Examples:
  $ source <(polyvisor completion bash)
  $ polyvisor completion zsh > ~/.zfunc/_polyvisor
  $ polyvisor completion fish > ~/.config/fish/completions/polyvisor.fish`,
    )
    .action(async (shell) => {
      const run = session();
      const script = completionScript(shell, await modelOf(run));
      run.answer({ command: 'completion', shell, script }, script);
    });
};

/** The commands as commander knows them, so that nothing is written down twice. */
async function modelOf(run: Session): Promise<CompletionModel> {
  const unused = () => {
    throw new Error('only described, never run');
  };
  const program = createProgram(unused, { out: () => undefined, err: () => undefined });
  const help = program.createHelp();
  const commands = await Promise.all(
    COMMANDS.map(async ({ name, summary }) => {
      const one = new Command(name);
      await configureCommand(name, one, unused);
      return { name, summary, options: flagsOf(one, help) };
    }),
  );
  const host = await run.host();
  return {
    commands,
    options: flagsOf(program, help),
    formats: host.converters().map(({ id }) => id),
    provisioners: host.provisioners().map(({ id }) => id),
    booters: host.booters().map(({ id }) => id),
    consumers: knownConsumers(host.converters()),
  };
}

function flagsOf(command: Command, help: Help): CompletionModel['options'] {
  return help
    .visibleOptions(command as unknown as Parameters<Help['visibleOptions']>[0])
    .flatMap(({ long, description, required }) =>
      typeof long === 'string' ? [{ flag: long, description, takesValue: required }] : [],
    );
}
