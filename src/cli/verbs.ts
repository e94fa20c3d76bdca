import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { csvOf } from '../control/csv.ts';
import { verbs } from '../control/registry.ts';
import type { Verb } from '../control/verb.ts';
import { CubitError } from '../core/errors.ts';
import { type Client, type ClientOptions, createClient } from './client.ts';
import { readTextFile } from './files.ts';
import { render } from './render.ts';
import { tenantFor } from './tenant.ts';

/**
 * `cubit <noun> <verb>` for every verb of the control plane, made from its definition: parts of the path and files are
 * arguments, every other field is a flag. What the API can do, the CLI can do.
 */
interface Field {
  readonly type?: string | string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Field[];
  readonly items?: Field;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  /** It is a file's text: the command line takes the file's path. */
  readonly contentMediaType?: string;
}

const NOUNS: Readonly<Record<string, string>> = {
  tenant: 'who buys units and pays for them',
  wallet: 'a tenant’s money: top it up, see what went in and out',
  access: 'whether a tenant may buy units: apply, grant, revoke',
  agreement: 'the text that is accepted before buying, and who accepted it',
  quota: 'how many units a tenant may hold, and asking for more',
  application: 'what tenants applied for, for the operator to decide',
  key: 'API keys of a tenant, with labels',
  chargeback: 'who used what: costs split over keys and labels',
  budget: 'what a tenant means to spend in a month',
  model: 'models of the catalogue, and your own: adapters and fine-tuned weights',
  adapter: 'which of your LoRA adapters an endpoint answers with',
  template: 'deployment templates: what one unit of a model is and costs',
  price: 'what a unit costs by the hour and by the month, now or to come',
  rule: 'elastic rules of postpaid groups: bounds, schedule, targets',
  scaling: 'what scaling did to groups, and why',
  'price-book': 'versions of the price book: import, compare, export, withdraw',
  calculator: 'how many units a traffic needs; `cubit calc` asks it more easily',
  endpoint: 'what a tenant calls: models, their units, waiting and traffic',
  overflow: 'what becomes of requests that an endpoint has no place for',
  rollout: 'take a served model to all of an endpoint’s traffic in steps, and back',
  upstream: 'servers of others that you pay, for endpoints to spill to',
  order: 'buy more units, resize or unsubscribe a group, and what became of it',
  group: 'instance groups: the units that one order bought',
  pool: 'models that are paid by the token: shared units, prices',
  limit: 'requests and tokens a minute on models that are paid by the token',
  notice: 'the inbox: terms that end, renewals, overdue wallets, bills, decisions',
  channel: 'where notices are sent: signed webhooks, e-mail',
  delivery: 'notices on their way to channels',
  usage: 'receipts of requests, one by one and summed',
  bill: 'bills by the hour, and what is not billed yet',
  statement: 'a month: wallet, bills, prepaid money, each group',
  server: 'servers that run already and were adopted',
  replica: 'running copies behind the units',
  audit: 'who changed what',
  member: 'people of a tenant and their roles',
  invitation: 'invitations of people and what became of them',
  token: 'what people sign in with at the control API',
  me: 'who you are and what you may do',
  operator: 'people who run the platform',
};

export function addVerbCommands(program: Command): void {
  const nouns = new Map<string, Command>();
  for (const verb of verbs) {
    const [noun = '', action = ''] = verb.name.split('.');
    let group = nouns.get(noun);
    if (group === undefined) {
      group = program.command(noun).description(NOUNS[noun] ?? noun);
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
  const files = Object.keys(fields).filter((name) => fields[name]?.contentMediaType !== undefined);
  const named = inPath.length > 0 || !schema.required?.includes('name') ? inPath : ['name'];
  const positional = [...named, ...files];
  const command = group.command(action).description(verb.summary);
  for (const name of positional) {
    const needed = !files.includes(name) || (schema.required?.includes(name) ?? false);
    command.argument(needed ? `<${name}>` : `[${name}]`, argumentHelp(name, fields[name]));
  }
  for (const [name, field] of Object.entries(fields)) {
    // Whose it is, every command is told by the one flag --tenant.
    if (name === 'tenantId' || positional.includes(name)) continue;
    addFlag(command, name, field, schema.required?.includes(name) ?? false);
  }
  if (verb.columns !== undefined) command.option('--csv', 'print the list as CSV');
  if (verb.download) command.option('--output <file>', 'write it there; to the terminal when left out');
  if (verb.route.method === 'POST') {
    command.option('--idempotency-key <key>', 'a replay with the same key does nothing twice');
  }
  command.action(async () => {
    const options = command.optsWithGlobals<
      ClientOptions & { json?: boolean; csv?: boolean; tenant?: string; idempotencyKey?: string; output?: string }
    >();
    const flags: Readonly<Record<string, unknown>> = command.opts();
    const input: Record<string, unknown> = {};
    for (const name of Object.keys(fields)) {
      const at = positional.indexOf(name);
      const value = at < 0 ? flags[name] : command.args[at];
      if (value !== undefined) input[name] = files.includes(name) ? readTextFile(String(value)) : value;
    }
    const client = createClient({ ...options, anyone: verb.access === 'anyone' });
    if ('tenantId' in fields) {
      const wanted = (input['tenantId'] as string | undefined) ?? options.tenant ?? process.env['CUBIT_TENANT'];
      const tenantId = await tenantFor(client, wanted, schema.required?.includes('tenantId') ?? false);
      if (tenantId !== undefined) input['tenantId'] = tenantId;
    }
    const answer = await callVerb(client, verb, input, options.idempotencyKey).catch(async (error: unknown) => {
      if (error instanceof CubitError && error.details['param'] === 'tenantId')
        await tenantFor(client, undefined, true);
      throw error;
    });
    if (verb.download) {
      await save(answer as Saved, options);
      return;
    }
    if (verb.prints !== undefined && !options.json) {
      await printPages(verb.prints, answer, (cursor) => callVerb(client, verb, { ...input, cursor }));
      return;
    }
    if (options.csv) return void process.stdout.write(csvOf(answer));
    console.log(
      options.json
        ? JSON.stringify(answer, null, 2)
        : render(answer, verb.columns, process.stdout.isTTY ? process.stdout.columns : undefined),
    );
  });
}

/** A long text comes in pages: all of them, one in memory at a time. */
async function printPages(field: string, first: unknown, next: (cursor: string) => Promise<unknown>): Promise<void> {
  for (let page = first as Record<string, unknown>; ; ) {
    if (!process.stdout.write(String(page[field]))) await once(process.stdout, 'drain');
    const cursor = page['nextCursor'];
    if (typeof cursor !== 'string') return;
    page = (await next(cursor)) as Record<string, unknown>;
  }
}

interface Saved {
  readonly filename: string;
  readonly body: string;
}

/** With --json, the file's name and text for programs. */
async function save(answer: Saved, { json, output }: { json?: boolean; output?: string }): Promise<void> {
  if (output !== undefined) await writeFile(output, answer.body);
  if (json)
    console.log(JSON.stringify(output === undefined ? answer : { ...answer, body: undefined, output }, null, 2));
  else if (output === undefined) process.stdout.write(answer.body);
}

function argumentHelp(name: string, field: Field | undefined): string {
  if (field?.contentMediaType !== undefined) return 'Path of the file';
  return name === 'tenantId' ? 'Id or name' : (field?.description ?? '');
}

function addFlag(command: Command, name: string, field: Field, required: boolean): void {
  const flag = `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  const choices = field.enum === undefined ? '' : ` (${field.enum.join(' | ')})`;
  const note = `${field.description ?? ''}${choices}${field.default === undefined ? '' : ` (default: ${JSON.stringify(field.default)})`}`;
  const type = typeOf(field);
  if (type === 'boolean') {
    command.option(`${flag} [yes]`, note, yesOrNo);
    return;
  }
  const collect = (text: string, before: unknown) =>
    type === 'array' ? [...((before as unknown[]) ?? []), ...items(field, text)] : parseValue(type, text);
  const hint = type === 'array' ? `${note} (may be repeated)${shapeOf(field.items)}`.trim() : note;
  if (required) command.requiredOption(`${flag} <value>`, hint, collect);
  else command.option(`${flag} <value>`, hint, collect);
}

/** `modelId=…,units=… and, as needed, templateId, months` */
function shapeOf(item: Field | undefined): string {
  const names = Object.keys(item?.properties ?? {});
  if (names.length === 0) return '';
  const needed = names.filter((name) => item?.required?.includes(name));
  const others = names.filter((name) => !needed.includes(name));
  const more = others.length === 0 ? '' : ` and, as needed, ${others.join(', ')}`;
  return `: ${needed.map((name) => `${name}=…`).join(',')}${more}`;
}

function yesOrNo(text: string): boolean {
  if (['yes', 'true', 'no', 'false'].includes(text)) return text === 'yes' || text === 'true';
  throw new InvalidArgumentError('Say yes or no.');
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
