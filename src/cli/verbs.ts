import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { verbs } from '../control/registry.ts';
import type { Verb } from '../control/verb.ts';
import { CubitError } from '../core/errors.ts';
import { type Client, type ClientOptions, createClient } from './client.ts';
import { render } from './render.ts';

/**
 * `cubit <noun> <verb>` for every verb of the control plane, made from its definition: parts of the path are arguments,
 * every other field is a flag. What the API can do, the CLI can do.
 */
interface Field {
  readonly type?: string | string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Field[];
  readonly items?: Field;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly default?: unknown;
}

export function addVerbCommands(program: Command): void {
  const nouns = new Map<string, Command>();
  for (const verb of verbs) {
    const [noun = '', action = ''] = verb.name.split('.');
    let group = nouns.get(noun);
    if (group === undefined) {
      group = program.command(noun).description(`${noun}: see \`cubit ${noun} --help\``);
      nouns.set(noun, group);
    }
    addVerb(group, action, verb);
  }
}

function addVerb(group: Command, action: string, verb: Verb): void {
  const schema = z.toJSONSchema(verb.input, { io: 'input', unrepresentable: 'any' }) as {
    properties?: Record<string, Field>;
    required?: string[];
  };
  const fields = schema.properties ?? {};
  const inPath = [...verb.route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
  const positional = inPath.length > 0 || !schema.required?.includes('name') ? inPath : ['name'];
  const command = group.command(action).description(verb.summary);
  for (const name of positional) command.argument(`<${name}>`, fields[name]?.description ?? '');
  for (const [name, field] of Object.entries(fields)) {
    if (!positional.includes(name)) addFlag(command, name, field, schema.required?.includes(name) ?? false);
  }
  if (verb.route.method === 'POST') {
    command.option('--idempotency-key <key>', 'a replay with the same key does nothing twice');
  }
  command.action(async () => {
    const options = command.optsWithGlobals<
      ClientOptions & { json?: boolean; tenant?: string; idempotencyKey?: string }
    >();
    const input: Record<string, unknown> = {};
    for (const [index, name] of positional.entries()) input[name] = command.args[index];
    for (const name of Object.keys(fields)) {
      const value = (command.opts() as Record<string, unknown>)[name];
      if (value !== undefined && input[name] === undefined) input[name] = value;
    }
    const client = createClient(options);
    if ('tenantId' in fields && !inPath.includes('tenantId') && input['tenantId'] === undefined) {
      const tenantId = await resolveTenant(client, options);
      if (tenantId !== undefined) input['tenantId'] = tenantId;
    }
    const answer = await callVerb(client, verb, input, options.idempotencyKey);
    console.log(options.json ? JSON.stringify(answer, null, 2) : render(answer, verb.columns));
  });
}

function addFlag(command: Command, name: string, field: Field, required: boolean): void {
  const flag = `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  const choices = field.enum === undefined ? '' : ` (${field.enum.join(' | ')})`;
  const note = `${field.description ?? ''}${choices}${field.default === undefined ? '' : ` (default: ${JSON.stringify(field.default)})`}`;
  const type = typeOf(field);
  if (type === 'boolean') {
    command.option(`${flag} [yes]`, note, (text: string) => text !== 'false' && text !== 'no');
    return;
  }
  const collect = (text: string, before: unknown) =>
    type === 'array' ? [...((before as unknown[]) ?? []), ...items(field, text)] : parseValue(type, text);
  const hint =
    type === 'array' ? `${note} (may be repeated${field.items?.properties ? ': name=value,name=value' : ''})` : note;
  if (required) command.requiredOption(`${flag} <value>`, hint, collect);
  else command.option(`${flag} <value>`, hint, collect);
}

function typeOf(field: Field): string {
  const type = field.type ?? field.anyOf?.map((option) => option.type).find((option) => option !== 'null');
  return (Array.isArray(type) ? type.find((option) => option !== 'null') : type) ?? 'string';
}

/** An item of a list of objects may be written `modelId=x,units=2` or as JSON. */
function items(field: Field, text: string): unknown[] {
  const properties = field.items?.properties;
  if (properties === undefined || text.startsWith('{') || text.startsWith('[')) {
    if (properties === undefined) return text.split(',').map((part) => parseValue(typeOf(field.items ?? {}), part));
    const value = parseValue('object', text);
    return Array.isArray(value) ? value : [value];
  }
  const record: Record<string, unknown> = {};
  for (const part of text.split(',')) {
    const split = part.indexOf('=');
    if (split < 1) throw new InvalidArgumentError(`“${part}” is not name=value.`);
    const name = part.slice(0, split).trim();
    const known = properties[name];
    if (known === undefined)
      throw new InvalidArgumentError(`There is no “${name}”; there are ${Object.keys(properties).join(', ')}.`);
    record[name] = parseValue(typeOf(known), part.slice(split + 1));
  }
  return [record];
}

function parseValue(type: string, text: string): unknown {
  if (type === 'integer' || type === 'number') {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError(`“${text}” is not a number.`);
    return value;
  }
  if (type === 'object') {
    try {
      return JSON.parse(text);
    } catch {
      throw new InvalidArgumentError('Write it as JSON.');
    }
  }
  return text;
}

export async function callVerb(
  client: Client,
  verb: Pick<Verb, 'route'>,
  input: Readonly<Record<string, unknown>>,
  idempotencyKey?: string,
): Promise<unknown> {
  const rest: Record<string, unknown> = { ...input };
  const path = verb.route.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest[name];
    delete rest[name];
    return encodeURIComponent(String(value));
  });
  if (verb.route.method === 'GET' || verb.route.method === 'DELETE') {
    const query = new URLSearchParams(
      Object.entries(rest).map(([name, value]): [string, string] => [name, String(value)]),
    );
    return client.call(verb.route.method, query.size > 0 ? `${path}?${query}` : path);
  }
  return client.call(verb.route.method, path, rest, idempotencyKey);
}

/** `--tenant` by id or name; without it the only tenant there is. undefined = the server decides (a tenant's own key does). */
async function resolveTenant(
  client: Client,
  options: ClientOptions & { tenant?: string },
): Promise<string | undefined> {
  const wanted = options.tenant ?? process.env['CUBIT_TENANT'];
  if (wanted?.startsWith('t-')) return wanted;
  const list = await client.call('GET', '/tenants').catch((error: unknown) => {
    if (error instanceof CubitError && error.code === 'forbidden') return null;
    throw error;
  });
  if (list === null) return undefined;
  const tenants = (list as { items: { tenantId: string; name: string }[] }).items;
  if (wanted === undefined) return tenants.length === 1 ? tenants[0]?.tenantId : undefined;
  const found = tenants.find((tenant) => tenant.name === wanted);
  if (found !== undefined) return found.tenantId;
  const names = tenants.map((tenant) => tenant.name).join(', ') || 'none yet';
  throw new CubitError('not_found', `There is no tenant ${wanted} (there are: ${names}).`);
}
