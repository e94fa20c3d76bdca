import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { addCompletion } from './completion.ts';
import { addVerbCommands } from './verbs.ts';

afterEach(() => void vi.restoreAllMocks());

function script(shell: string): string {
  const program = new Command('cubit').option('--json').option('--tenant <tenant>').exitOverride();
  addVerbCommands(program);
  addCompletion(program);
  const printed = vi.spyOn(console, 'log').mockReturnValue();
  program.parse(['completion', shell], { from: 'user' });
  return printed.mock.calls.join('\n');
}

/** What bash would offer for the last word. */
function offered(...words: string[]): string[] {
  const ask = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _cubit; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-uc', `${script('bash')}\n${ask}`], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.trim().split('\n');
}

test.each([
  [['cubit', 'en'], ['endpoint']],
  [['cubit', 'endpoint', 'c'], ['create']],
  [
    ['cubit', 'endpoint', 'create', 'chat', '--m'],
    ['--models', '--max-wait-ms'],
  ],
  [['cubit', '--tenant', 'endpoint-buyer', 'endpoint', 'del'], ['delete']],
  [['cubit', 'wallet', 'show', '--te'], ['--tenant']],
  [['cubit', 'nonsense', 'wal'], ['wallet']],
  [['cubit', 'group', 'zzz'], ['']],
])('bash completes %j', (words, expected) => {
  expect(offered(...words)).toEqual(expected);
});

test('bash offers the verbs of a noun before its flags', () => {
  expect(offered('cubit', 'bill', '')).toEqual(
    expect.arrayContaining(['list', 'show', 'preview', 'settle', '--json', '--help']),
  );
});

test('zsh gets the same by its bash emulation, fish its own; another shell is refused', () => {
  expect(script('zsh')).toContain('bashcompinit');
  expect(script('fish')).toContain(
    "complete -c cubit -n '__fish_seen_subcommand_from endpoint; and __fish_seen_subcommand_from create' -l 'models'",
  );
  expect(() => script('tcsh')).toThrow('bash, zsh and fish');
});
