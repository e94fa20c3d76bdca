import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Json, testControl } from './fixture.ts';
import { openApiDocument, schemaOf } from './openapi.ts';
import { verbs } from './registry.ts';

const document = JSON.parse(JSON.stringify(openApiDocument(verbs))) as Json;
const operations: [string, string, Json][] = Object.entries(document['paths'] as Json).flatMap(([path, methods]) =>
  Object.entries(methods as Json).map(([method, operation]): [string, string, Json] => [method, path, operation]),
);

test('every verb is one operation with an id of its own', () => {
  expect(operations).toHaveLength(verbs.length);
  const ids = operations.map(([, , operation]) => operation['operationId']);
  expect(new Set(ids).size).toBe(verbs.length);
  for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z]+$/);
  expect(new Set(verbs.map((verb) => verb.name)).size).toBe(verbs.length);
});

test.each(operations)('%s %s is described whole', (method, path, operation) => {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const declared = operation['parameters'].filter((one: Json) => one['in'] === 'path');
  expect(declared.map((one: Json) => one['name'])).toEqual(inPath);
  for (const parameter of operation['parameters']) expect(Object.keys(parameter.schema).length).toBeGreaterThan(0);
  expect(operation['summary']).toMatch(/\.$/);
  const { content } = operation['responses']['200'];
  const verb = verbs.find((one) => `/api/v1${one.route.path}` === path && one.route.method.toLowerCase() === method);
  if (verb?.download) expect(Object.keys(content)).toEqual(['text/csv', 'text/html']);
  else expect(content['application/json'].schema.type).toBe('object');
  expect(operation['responses'].default.$ref).toBe('#/components/responses/Problem');
  const hasBody = operation['requestBody'] !== undefined;
  expect(hasBody).toBe(method === 'post' || method === 'patch');
  if (hasBody) {
    const { schema } = operation['requestBody'].content['application/json'];
    expect(schema.additionalProperties).toBe(false);
    for (const name of inPath) expect(schema.properties).not.toHaveProperty([name as string]);
  }
});

test('each says what it needs, and what needs no key says that too', () => {
  for (const [, path, operation] of operations) {
    const isOpen = path.endsWith('/members/accept');
    expect(operation['description'], path).toMatch(
      isOpen ? /^Needs no key or token\.$/ : /^Needs the permission `\w+`: /,
    );
    expect(operation['security'], path).toEqual(isOpen ? [] : undefined);
  }
});

test('every reference leads somewhere', () => {
  for (const [, reference] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = reference?.split('/').reduce<Json | undefined>((node, name) => node?.[name], document);
    expect(target, reference).toBeDefined();
  }
});

test('big integers are described as decimal strings', () => {
  expect(schemaOf(z.object({ micros: z.bigint() }), 'output')).toMatchObject({
    properties: { micros: { type: 'string', pattern: '^-?\\d+$' } },
  });
});

test('it is served to everybody', async () => {
  const control = await testControl();
  const { status, body } = await control.http('GET', '/api/v1/openapi.json');
  expect(status).toBe(200);
  expect(body['openapi']).toBe('3.1.0');
  expect(body['security']).toEqual([{ bearer: [] }]);
});
