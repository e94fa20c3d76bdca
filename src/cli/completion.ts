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

/** By the words typed so far (`` = none, `endpoint`, `endpoint create`): what may follow. Global flags may everywhere. */
function wordTable(program: Command): Map<string, string[]> {
  const table = new Map<string, string[]>();
  const flagsOf = (command: Command) => command.options.flatMap((option) => option.long ?? []);
  const globals = flagsOf(program);
  const visit = (command: Command, path: string) => {
    const own = command === program ? [] : flagsOf(command);
    table.set(path, [...command.commands.map((child) => child.name()), ...own, ...globals, '--help']);
    for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim());
  };
  visit(program, '');
  return table;
}

/** Only words that lead on count: what stands behind a flag, and names, are passed over. */
function bash(words: Map<string, string[]>): string {
  const paths = [...words.keys()].filter((path) => path !== '').join('|');
  const cases = [...words].map(([path, next]) => `    "${path}") words="${next.join(' ')}" ;;`);
  return [
    '_cubit() {',
    `  local path="" next word words="" paths="|${paths}|"`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: shell's own expansion
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: shell's own expansion
    '    next="${path:+$path }$word"',
    '    [[ "$paths" == *"|$next|"* ]] && path="$next"',
    '  done',
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
    const typed = path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`);
    const seen = path === '' ? '__fish_use_subcommand' : typed.join('; and ');
    for (const word of next) {
      const what = word.startsWith('--') ? `-l '${word.slice(2)}'` : `-a '${word}'`;
      lines.push(`complete -c cubit -n '${seen}' ${what}`);
    }
  }
  return lines.join('\n');
}
