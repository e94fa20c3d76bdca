import { describe, expect, test } from 'vitest';
import { OPERATOR_TOKEN, testControl } from './fixture.ts';

const operator = { token: OPERATOR_TOKEN };

describe('who asks', () => {
  test.each([
    ['no header', {}],
    ['a wrong token', { token: 'sk-cubit-nobody' }],
    ['another scheme', { headers: { authorization: 'Basic Zm9v' } }],
  ])('%s: 401', async (_case, options) => {
    const control = await testControl();
    const { status, body, headers } = await control.http('GET', '/api/v1/tenants', options);
    expect(status).toBe(401);
    expect(body['error'].code).toBe('invalid_api_key');
    expect(headers.get('www-authenticate')).toBe('Bearer');
  });

  test('a key works until it is revoked', async () => {
    const control = await testControl();
    const { managerKey, readerKey, reader } = await control.tenant();
    const keyId = reader.kind === 'key' ? reader.keyId : '';
    expect((await control.http('GET', '/api/v1/endpoints', { token: readerKey })).status).toBe(200);
    expect((await control.http('GET', '/api/v1/keys', { token: readerKey })).status).toBe(403);
    expect((await control.http('POST', `/api/v1/keys/${keyId}/revoke`, { token: managerKey })).status).toBe(200);
    expect((await control.http('GET', '/api/v1/endpoints', { token: readerKey })).status).toBe(401);
  });
});

describe('input', () => {
  test('comes from path, query and body', async () => {
    const control = await testControl();
    const { managerKey: token } = await control.tenant();
    const models = [{ modelId: 'alpha', units: 2 }];
    const made = await control.http('POST', '/api/v1/endpoints', { token, body: { name: 'chat', models } });
    expect(made.status).toBe(200);
    const { endpointId } = made.body as { endpointId: string };
    const patched = await control.http('PATCH', `/api/v1/endpoints/${endpointId}`, { token, body: { maxWaitMs: 5 } });
    expect(patched.body).toMatchObject({ endpointId, maxWaitMs: 5 });
    const listed = await control.http('GET', '/api/v1/groups?limit=1&state=provisioning', { token });
    expect(listed.body).toMatchObject({ items: [{ units: 2, hourlyPrice: { amount: '3.600000', currency: 'CNY' } }] });
  });

  test.each([
    ['malformed JSON', '{"name":', 'invalid_json', ''],
    ['no object', '[1]', 'invalid_request', ''],
    ['an unknown field', { name: 'a', colour: 'red' }, 'invalid_request', 'colour'],
    ['a wrong type', { name: 7 }, 'invalid_request', 'name'],
    ['a missing field', {}, 'invalid_request', 'name'],
    ['a bad zone', { name: 'a', zone: '+08:00' }, 'invalid_request', 'zone'],
    ['another currency', { name: 'a', currency: 'EUR' }, 'invalid_request', 'currency'],
    ['a blank name', { name: '  ' }, 'invalid_request', 'name'],
    ['a field that __proto__ smuggles', '{"name":"a","__proto__":{"zone":"x"}}', 'invalid_request', '__proto__'],
  ])('%s is refused', async (_case, body, code, field) => {
    const control = await testControl();
    const reply = await control.http('POST', '/api/v1/tenants', { ...operator, body });
    expect(reply.status).toBe(400);
    expect(reply.body['error'].code).toBe(code);
    if (field !== '') expect(reply.body['error'].details.faults).toMatchObject([{ field }]);
    expect(await control.store.db.selectFrom('tenants').selectAll().execute()).toEqual([]);
  });

  test.each([
    ['/api/v1/tenants?limit=0', 'limit'],
    ['/api/v1/tenants?limit=ten', 'limit'],
    ['/api/v1/tenants?limit=1&limit=2', 'limit'],
    ['/api/v1/tenants?cursor=nonsense', 'cursor'],
    ['/api/v1/tenants?colour=red', 'colour'],
  ])('%s is refused', async (path, field) => {
    const control = await testControl();
    const { status, body } = await control.http('GET', path, operator);
    expect(status).toBe(400);
    expect(body['error'].details.faults).toMatchObject([{ field }]);
  });

  test('a body over the limit is refused', async () => {
    const control = await testControl();
    const body = JSON.stringify({ name: 'x'.repeat(1_000_001) });
    const reply = await control.http('POST', '/api/v1/tenants', { ...operator, body });
    expect(reply.status).toBe(413);
    expect(reply.body['error'].code).toBe('body_too_large');
  });
});

describe('answers', () => {
  test('problems carry code, message, details and the request id', async () => {
    const control = await testControl();
    const headers = { 'x-request-id': 'mine-1' };
    const reply = await control.http('GET', '/api/v1/tenants/t-none', { ...operator, headers });
    expect(reply.status).toBe(404);
    expect(reply.headers.get('x-request-id')).toBe('mine-1');
    expect(reply.body).toEqual({
      error: {
        code: 'not_found',
        message: 'There is no tenant t-none.',
        details: { what: 'tenant', id: 't-none' },
        requestId: 'mine-1',
      },
    });
  });

  test('a request id that could break a log is replaced', async () => {
    const control = await testControl();
    const headers = { 'x-request-id': 'a b' };
    const reply = await control.http('GET', '/api/v1/tenants', { ...operator, headers });
    expect(reply.headers.get('x-request-id')).toMatch(/^req-/);
  });

  test('unknown paths and wrong methods', async () => {
    const control = await testControl();
    expect((await control.http('GET', '/api/v1/nothing', operator)).status).toBe(404);
    const wrong = await control.http('PUT', '/api/v1/tenants', operator);
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('POST, GET');
    expect(wrong.headers.get('x-request-id')).toMatch(/^req-/);
  });

  test('our own faults are logged, not shown', async () => {
    const control = await testControl();
    await control.store.close();
    const { status, body } = await control.http('GET', '/api/v1/tenants', operator);
    expect(status).toBe(500);
    expect(body['error'].code).toBe('internal');
    expect(JSON.stringify(body)).not.toMatch(/driver|destroyed|database/i);
    expect(control.errors).toMatchObject([{ fields: { requestId: body['error'].requestId } }]);
  });

  test('a replay says that it is one', async () => {
    const control = await testControl();
    const send = () =>
      control.http('POST', '/api/v1/tenants', {
        ...operator,
        body: { name: 'a' },
        headers: { 'idempotency-key': 'k' },
      });
    const [first, second] = [await send(), await send()];
    expect(second.body).toEqual(first.body);
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(second.headers.get('idempotent-replayed')).toBe('true');
  });

  test('pages follow each other without gap or repetition', async () => {
    const control = await testControl();
    for (let i = 0; i < 5; i++) {
      if (i % 2 === 0) control.nowMs += 1;
      await control.http('POST', '/api/v1/tenants', { ...operator, body: { name: `t${i}` } });
    }
    const names: string[] = [];
    let cursor: string | null = '';
    for (let page = 0; cursor !== null && page < 10; page++) {
      const path = `/api/v1/tenants?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const { body } = await control.http('GET', path, operator);
      names.push(...body['items'].map((item: { name: string }) => item.name));
      cursor = body['nextCursor'];
    }
    expect(names.sort()).toEqual(['t0', 't1', 't2', 't3', 't4']);
  });
});

test('the page to try it loads nothing from elsewhere', async () => {
  const control = await testControl();
  const { status, body } = await control.http('GET', '/api/v1/docs');
  expect(status).toBe(200);
  expect(body['text']).toContain('openapi.json');
  expect(body['text']).not.toMatch(/(src|href)="(https?:)?\/\//);
});
