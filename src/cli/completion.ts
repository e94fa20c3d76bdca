import type { Command } from 'commander';
import { CubitError } from '../core/errors.ts';

/** Shell completions from the commands themselves: two levels of names and each command's flags. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print completions for a shell: eval "$(cubit completion bash)"')
    .argument('<shell>', 'bash, zsh or fish')
    .action((shell: string) => {
      const words = wordTable(program);
      if (shell === 'fish') console.log(fish(words));
      else if (shell === 'bash') console.log(bash(words));
      else if (shell === 'zsh') console.log(`autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`);
      else throw new CubitError('invalid_request', `There are completions for bash, zsh and fish, not for ${shell}.`);
    });
}

/** By the words typed so far (`` = none, `endpoint`, `endpoint create`): what may follow. */
function wordTable(program: Command): Map<string, string[]> {
  const table = new Map<string, string[]>();
  const visit = (command: Command, path: string) => {
    const flags = command.options.map((option) => option.long ?? '').filter((flag) => flag !== '');
    table.set(path, [...command.commands.map((child) => child.name()), ...flags]);
    for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim());
  };
  visit(program, '');
  return table;
}

function bash(words: Map<string, string[]>): string {
  const cases = [...words].map(([path, next]) => `    "${path}") words="${next.join(' ')}" ;;`);
  return [
    '_cubit() {',
    '  local path="" word words=""',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: shell's own expansion
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do case "$word" in -*) ;; *) path="${path:+$path }$word" ;; esac; done',
    '  case "$path" in',
    ...cases,
    '  esac',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: shell's own expansion
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -F _cubit cubit',
  ].join('\n');
}

function fish(words: Map<string, string[]>): string {
  const lines = ['complete -c cubit -f'];
  for (const [path, next] of words) {
    const seen = path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`;
    for (const word of next) lines.push(`complete -c cubit -n '${seen}' -a '${word}'`);
  }
  return lines.join('\n');
}
