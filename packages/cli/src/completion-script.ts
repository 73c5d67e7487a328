import { DefinitionError } from '@polyvisor/core';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export interface CompletionOption {
  /** With its dashes. */
  readonly flag: string;
  readonly description: string;
  readonly takesValue: boolean;
}

export interface CompletionModel {
  readonly commands: readonly {
    readonly name: string;
    readonly summary: string;
    readonly options: readonly CompletionOption[];
  }[];
  /** Of every command. */
  readonly options: readonly CompletionOption[];
  readonly formats: readonly string[];
  readonly provisioners: readonly string[];
  readonly booters: readonly string[];
  /** Who loads images, as `check --for` names them. */
  readonly consumers: readonly string[];
}

/** Text for the shell to source. Everything in it comes from the model. */
export function completionScript(shell: string, model: CompletionModel): string {
  if (shell === 'bash') return bash(model);
  if (shell === 'zsh') return zsh(model);
  if (shell === 'fish') return fish(model);
  throw new DefinitionError('shell-unknown', `there is no completion for ${shell}`, {
    hint: `known: ${SHELLS.join(', ')}`,
  });
}

/** Words that may follow an option, where they are known. */
function valuesOf(flag: string, model: CompletionModel): readonly string[] | undefined {
  if (flag === '--to' || flag === '--from') return model.formats;
  if (flag === '--provisioner') return model.provisioners;
  if (flag === '--booter') return model.booters;
  if (flag === '--for') return model.consumers;
  if (flag === '--firmware') return ['bios', 'uefi'];
  if (flag === '--on-error') return ['cleanup', 'keep', 'ask', 'shell'];
  if (flag === '--boot-check') return ['auto', 'all', 'none'];
  return undefined;
}

function flags(options: readonly CompletionOption[]): string {
  return options.map(({ flag }) => flag).join(' ');
}

function bash(model: CompletionModel): string {
  const values = [...new Set(model.commands.flatMap(({ options }) => options).map(({ flag }) => flag))].flatMap(
    (flag) => {
      const words = valuesOf(flag, model);
      return words === undefined
        ? []
        : [`    ${flag}) COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word")); return ;;`];
    },
  );
  return `# bash completion for polyvisor
_polyvisor() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command='' each options
  for each in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$each" in -*) ;; *) command="$each"; break ;; esac
  done
  case "$before" in
${values.join('\n')}
  esac
  case "$command" in
${model.commands.map(({ name, options }) => `    ${name}) options='${flags(options)} ${flags(model.options)}' ;;`).join('\n')}
    *) options='${model.commands.map(({ name }) => name).join(' ')} ${flags(model.options)}' ;;
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) if [ -z "$command" ]; then COMPREPLY=($(compgen -W "$options" -- "$word"));
       else COMPREPLY=($(compgen -f -- "$word")); fi ;;
  esac
}
complete -o filenames -F _polyvisor polyvisor`;
}

function zsh(model: CompletionModel): string {
  const option = ({ flag, description, takesValue }: CompletionOption) => {
    const words = valuesOf(flag, model);
    const value = !takesValue ? '' : words === undefined ? ':value:_files' : `:value:(${words.join(' ')})`;
    return `'*${flag}[${quoteZsh(description)}]${value}'`;
  };
  const lines = (options: readonly CompletionOption[]) => options.map((one) => `        ${option(one)} \\`).join('\n');
  return `#compdef polyvisor
_polyvisor() {
  local -a commands
  commands=(
${model.commands.map(({ name, summary }) => `    '${name}:${quoteZsh(summary)}'`).join('\n')}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
${model.commands
  .map(
    ({ name, options }) =>
      `    ${name})\n      _arguments \\\n${lines([...options, ...model.options])}\n        '*:file:_files' ;;`,
  )
  .join('\n')}
    *)
      _arguments \\
${lines(model.options)}
        '*:file:_files' ;;
  esac
}
if [ "$funcstack[1]" = _polyvisor ]; then _polyvisor "$@"; else compdef _polyvisor polyvisor; fi`;
}

function quoteZsh(text: string): string {
  return text.replaceAll("'", `'\\''`).replaceAll(/[[\]:]/g, '\\$&');
}

function fish(model: CompletionModel): string {
  const option = (condition: string) => (one: CompletionOption) => {
    const words = valuesOf(one.flag, model);
    const value = !one.takesValue ? '' : words === undefined ? ' -r' : ` -x -a '${words.join(' ')}'`;
    return `complete -c polyvisor${condition} -l ${one.flag.slice(2)}${value} -d '${quoteFish(one.description)}'`;
  };
  return [
    '# fish completion for polyvisor',
    ...model.commands.map(
      ({ name, summary }) => `complete -c polyvisor -n __fish_use_subcommand -f -a ${name} -d '${quoteFish(summary)}'`,
    ),
    ...model.options.map(option('')),
    ...model.commands.flatMap(({ name, options }) => options.map(option(` -n '__fish_seen_subcommand_from ${name}'`))),
  ].join('\n');
}

function quoteFish(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
