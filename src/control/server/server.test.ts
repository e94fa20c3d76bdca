import { describe, expect, test } from 'vitest';
import { CubitError } from '../../core/errors.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { replicaList } from '../replica/list.ts';
import { serverAdopt } from './adopt.ts';
import { adoptedServers } from './adopted.ts';
import { serverList } from './list.ts';
import { serverRemove } from './remove.ts';

const input = { serverUrl: 'http://10.0.0.5:8000/', templateId: 'alpha-local' };

describe('adopt', () => {
  test('takes what the probe found; the key is kept and never shown', async () => {
    const control = await testControl();
    const asked: unknown[] = [];
    control.probe = async (server) => {
      asked.push(server);
      return { dialect: 'sglang', models: ['org/alpha'], ok: true, reason: null };
    };
    const adopted = await control.call(serverAdopt, OPERATOR, { ...input, apiKey: 'secret' });
    expect(asked).toEqual([{ url: 'http://10.0.0.5:8000', apiKey: 'secret' }]);
    expect(adopted).toMatchObject({
      url: 'http://10.0.0.5:8000',
      model: 'org/alpha',
      dialect: 'sglang',
      hasApiKey: true,
    });
    expect(JSON.stringify([adopted, await control.call(serverList, OPERATOR, {})])).not.toContain('secret');
    const audits = await control.store.db.selectFrom('audit').selectAll().execute();
    expect(JSON.stringify(audits)).not.toContain('secret');
    expect(await adoptedServers(control.store.db)).toMatchObject([{ template_id: 'alpha-local', api_key: 'secret' }]);
    for (const url of [input.serverUrl, 'http://10.0.0.5:8000/v1/', 'HTTP://10.0.0.5:8000']) {
      expect((await refusal(control.call(serverAdopt, OPERATOR, { ...input, serverUrl: url }))).code, url).toBe(
        'conflict',
      );
    }
  });

  test('a server of several models needs to be told which', async () => {
    const control = await testControl();
    control.probe = async () => ({ dialect: 'vllm', models: ['a', 'b'], ok: true, reason: null });
    const adopt = (model?: string) => control.call(serverAdopt, OPERATOR, { ...input, ...(model && { model }) });
    for (const model of [undefined, 'c']) {
      const { details } = await refusal(adopt(model));
      expect(details['faults']).toMatchObject([{ field: 'model' }]);
      expect(details['faults'][0].message).toContain('a, b');
    }
    expect(await adopt('b')).toMatchObject({ model: 'b' });
  });

  test.each([
    ['an unknown template', { ...input, templateId: 'x' }, 'templateId'],
    ['no URL', { ...input, serverUrl: '10.0.0.5' }, 'serverUrl'],
    ['another protocol', { ...input, serverUrl: 'file:///etc/passwd' }, 'serverUrl'],
    ['a password that lists would show', { ...input, serverUrl: 'http://user:secret@10.0.0.5:8000' }, 'serverUrl'],
    ['a URL that goes on', { ...input, serverUrl: 'http://10.0.0.5:8000/v1?x=1' }, 'serverUrl'],
  ])('%s is refused before anything is asked', async (_case, bad, field) => {
    const control = await testControl();
    control.probe = () => Promise.reject(new Error('asked'));
    const { details } = await refusal(control.call(serverAdopt, OPERATOR, bad));
    expect(details['faults']).toMatchObject([{ field }]);
  });

  test('one that does not answer or is not well is refused', async () => {
    const control = await testControl();
    control.probe = async () => ({ dialect: 'vllm', models: ['a'], ok: false, reason: 'it is loading' });
    const unwell = await refusal(control.call(serverAdopt, OPERATOR, input));
    expect(unwell.code).toBe('engine_unavailable');
    expect(unwell.message).toContain('it is loading');
    const cause = new Error('connect ECONNREFUSED 10.0.0.5:8000');
    control.probe = () => Promise.reject(new CubitError('engine_unavailable', 'It cannot be reached.', { cause }));
    const silent = await refusal(control.call(serverAdopt, OPERATOR, input));
    expect(silent).toMatchObject({ code: 'engine_unavailable', details: { url: 'http://10.0.0.5:8000' } });
    expect(silent.message).toMatch(/^http:\/\/10\.0\.0\.5:8000 .*cannot be reached\. \(connect ECONNREFUSED/);
    expect(await adoptedServers(control.store.db)).toEqual([]);
  });
});

describe('remove', () => {
  test('not while sold units need it, unless forced', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const { serverId } = await control.call(serverAdopt, OPERATOR, input);
    control.fleet.slots = 1;
    await control.endpoint(manager);
    const answer = await refusal(control.call(serverRemove, OPERATOR, { serverId }));
    expect(answer).toMatchObject({ code: 'conflict', details: { unitsSold: 1, units: 1 } });
    expect(await adoptedServers(control.store.db)).toHaveLength(1);
    const removed = await control.call(serverRemove, OPERATOR, { serverId, force: true });
    expect(removed.removedAtMs).toBe(control.nowMs);
    expect((await refusal(control.call(serverRemove, OPERATOR, { serverId }))).code).toBe('not_found');
    expect(await control.call(serverList, OPERATOR, {})).toMatchObject({ items: [] });
    expect(await control.call(serverList, OPERATOR, { removed: true })).toMatchObject({ items: [{ serverId }] });
  });

  test('freely when there is room without it', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const { serverId } = await control.call(serverAdopt, OPERATOR, input);
    control.fleet.slots = 2;
    await control.endpoint(manager);
    await control.provisioned();
    expect(await control.call(serverRemove, OPERATOR, { serverId })).toMatchObject({ serverId });
  });
});

test('replicas are listed with their owner', async () => {
  const control = await testControl();
  const { manager, reader, tenantId } = await control.tenant();
  const { endpointId, groups } = await control.endpoint(manager, 2);
  const { groupId } = groups[0]!;
  await control.provisioned();
  const [first] = control.fleet.list();
  control.fleet.become(first!.replicaId, 'failed', 'out of memory');
  const { items } = await control.call(replicaList, reader, { state: 'failed' });
  expect(items).toMatchObject([{ tenantId, endpointId, groupId, state: 'failed', failure: 'out of memory' }]);
  expect((await control.call(replicaList, reader, { endpointId })).items).toHaveLength(2);
});

test('a server of a pair says its role, which the template has to have', async () => {
  const control = await testControl();
  const adopt = (more: object) =>
    control.call(serverAdopt, OPERATOR, { serverUrl: 'http://10.0.0.5:8000', templateId: 'alpha-pair', ...more });
  expect(await adopt({ role: 'prefill', bootstrapPort: 9_000 })).toMatchObject({
    role: 'prefill',
    bootstrapPort: 9_000,
  });
  const decode = { role: 'decode', serverUrl: 'http://10.0.0.6:8000', kvEvents: 'tcp://10.0.0.6:5557' } as const;
  expect(await adopt(decode)).toMatchObject({ role: 'decode', kvEvents: 'tcp://10.0.0.6:5557', kvReplay: null });
  for (const [more, field] of [
    [{}, 'role'],
    [{ role: 'prefill', templateId: 'alpha-local' }, 'role'],
    [{ role: 'decode', bootstrapPort: 1 }, 'bootstrapPort'],
    [{ role: 'decode', kvReplay: 'tcp://a:1' }, 'kvReplay'],
    [{ role: 'decode', kvEvents: 'http://a:1' }, 'kvEvents'],
    [{ role: 'cache' }, 'role'],
  ] as const) {
    expect((await refusal(adopt({ serverUrl: 'http://10.0.0.7:8000', ...more }))).message).toContain(field);
  }
});
