import { z } from 'zod';
import { rolesWith } from '../core/roles.ts';
import { CONTENT_TYPES } from './document/download.ts';
import { strictInput } from './input.ts';
import type { Verb } from './verb.ts';

type Json = Record<string, unknown>;

export const API_PREFIX = '/api/v1';

/** OpenAPI 3.1, made from the verbs' own schemas. */
export function openApiDocument(verbs: readonly Verb[]): Json {
  const paths: Record<string, Json> = {};
  for (const verb of verbs) {
    const path = `${API_PREFIX}${verb.route.path}`;
    paths[path] = { ...paths[path], [verb.route.method.toLowerCase()]: operationOf(verb) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Cubit control API',
      version: '1',
      description:
        'Tenants, keys, endpoints, orders and bills of model units. Amounts of money are exact decimal numbers in strings.',
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    tags: [...new Set(verbs.map(nounOf))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key, or a token of a member or operator' },
      },
      schemas: { Problem },
      responses: {
        Problem: {
          description: 'What went wrong and what to do',
          headers: { 'x-request-id': { schema: { type: 'string' } } },
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

const Problem = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'details', 'requestId'],
      properties: {
        code: { type: 'string', description: 'One of a closed set, such as not_found or payment_required' },
        message: { type: 'string', description: 'For people' },
        details: { type: 'object', description: 'For programs; `faults` names each faulty field of the input' },
        requestId: { type: 'string' },
      },
    },
  },
};

function operationOf(verb: Verb): Json {
  const input = schemaOf(strictInput(verb), 'input');
  const properties = (input['properties'] ?? {}) as Record<string, Json>;
  const required = new Set((input['required'] ?? []) as string[]);
  const inPath = pathFields(verb);
  const inQuery = readsQuery(verb) ? Object.keys(properties).filter((name) => !inPath.includes(name)) : [];
  const parameters: Json[] = [
    ...inPath.map((name) => parameter('path', name, properties[name] ?? {}, true)),
    ...inQuery.map((name) => parameter('query', name, properties[name] ?? {}, required.has(name))),
  ];
  if (verb.route.method === 'POST') parameters.push(IDEMPOTENCY_KEY);
  return {
    operationId: operationIdOf(verb),
    summary: verb.summary,
    description: needsOf(verb),
    ...(verb.access === 'anyone' ? { security: [] } : {}),
    tags: [nounOf(verb)],
    parameters,
    ...(readsQuery(verb) ? {} : { requestBody: bodyOf(input, properties, required, inPath) }),
    responses: {
      200: {
        description: 'Done',
        headers: { 'x-request-id': { schema: { type: 'string' } } },
        content: contentOf(verb),
      },
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}

function needsOf({ access }: Verb): string {
  if (access === 'anyone') return 'Needs no key or token.';
  return `Needs the permission \`${access}\`: ${rolesWith(access).join(', ')}.`;
}

function contentOf(verb: Verb): Json {
  if (!verb.download) return { 'application/json': { schema: schemaOf(verb.output, 'output') } };
  const text = { schema: { type: 'string' } };
  return Object.fromEntries(Object.values(CONTENT_TYPES).map((type) => [type.split(';')[0], text]));
}

const IDEMPOTENCY_KEY: Json = {
  in: 'header',
  name: 'Idempotency-Key',
  required: false,
  description: 'The same key with the same request answers as before and does nothing twice',
  schema: { type: 'string', minLength: 1, maxLength: 200 },
};

function parameter(place: 'path' | 'query', name: string, property: Json, required: boolean): Json {
  const { description, ...schema } = property;
  return { in: place, name, required, ...(description === undefined ? {} : { description }), schema };
}

function bodyOf(input: Json, properties: Record<string, Json>, required: Set<string>, inPath: string[]): Json {
  const inBody = Object.entries(properties).filter(([name]) => !inPath.includes(name));
  const needed = inBody.map(([name]) => name).filter((name) => required.has(name));
  const schema = { ...input, properties: Object.fromEntries(inBody), required: needed };
  return { required: needed.length > 0, content: { 'application/json': { schema } } };
}

/** Fields that stand in the path, in order. */
export function pathFields(verb: Verb): string[] {
  return [...verb.route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
}

/** GET and DELETE take their fields from the query. */
export function readsQuery(verb: Verb): boolean {
  return verb.route.method === 'GET' || verb.route.method === 'DELETE';
}

export function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const json = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    // Big integers travel as decimal strings.
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'bigint') Object.assign(jsonSchema, { type: 'string', pattern: '^-?\\d+$' });
    },
  }) as Json;
  const { $schema: _dialect, ...rest } = json;
  return rest;
}

function operationIdOf(verb: Verb): string {
  return verb.name.replace(/[.-](\w)/g, (_, letter: string) => letter.toUpperCase());
}

function nounOf(verb: Verb): string {
  return verb.name.split('.')[0] ?? '';
}
