import { Command } from 'commander';
import { expect, test } from 'vitest';
import { verbs } from '../control/registry.ts';
import { addVerbCommands } from './verbs.ts';

const program = new Command('cubit');
addVerbCommands(program);

const commandOf = (name: string) => {
  const [noun, action] = name.split('.');
  const group = program.commands.find((one) => one.name() === noun);
  return group?.commands.find((one) => one.name() === action);
};

test.each(verbs.map((verb) => [verb.name, verb] as const))('%s is a command whose help says it all', (name, verb) => {
  const command = commandOf(name);
  const help = command?.helpInformation() ?? '';
  expect(help.replace(/\s+/g, ' ')).toContain(verb.summary);
  for (const row of help.split('\n')) expect(row.length, row).toBeLessThanOrEqual(100);
  const flags = command?.options.map((option) => option.attributeName()) ?? [];
  const said = [...flags, ...(command?.registeredArguments.map((argument) => argument.name()) ?? [])];
  // The tenant is said by the global --tenant; where a download goes is said to the CLI alone.
  const own = ['idempotencyKey', 'tenantId', 'csv', ...(verb.download ? ['output'] : [])];
  const fields = Object.keys(verb.input.shape).filter((field) => field !== 'tenantId');
  expect(said.filter((field) => !own.includes(field)).sort()).toEqual(fields.sort());
  expect(flags.includes('csv')).toBe(verb.columns !== undefined);
  expect(flags.includes('output')).toBe(verb.download === true);
  expect(flags.includes('idempotencyKey')).toBe(verb.route.method === 'POST');
});

test('no flag of a command takes the place of a global one: its value would go to the wrong server', () => {
  const globals = ['url', 'token', 'data', 'tenant', 'json'];
  for (const verb of verbs) {
    const flags = commandOf(verb.name)?.options.map((option) => option.attributeName()) ?? [];
    expect(
      flags.filter((flag) => globals.includes(flag)),
      verb.name,
    ).toEqual([]);
  }
});

test('every noun says what it is about', () => {
  for (const noun of program.commands) expect(noun.description().length, noun.name()).toBeGreaterThan(10);
});

test('a list of objects shows how to write one', () => {
  const help = commandOf('endpoint.create')?.helpInformation().replace(/\s+/g, ' ');
  expect(help).toContain(
    'units=…, or without where it is paid by the token (may be repeated): modelId=… and, as needed, templateId',
  );
});
