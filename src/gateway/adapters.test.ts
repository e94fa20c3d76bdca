import { describe, expect, it } from 'vitest';
import { workOf } from '../core/serving/work.ts';
import { ReplicaAdapters } from './adapters.ts';
import { endpoint, FakeEngine, Harness, pause, replica, served, snapshot, until } from './fixture.ts';
import type { AdapterSnapshot } from './snapshot.ts';

const adapter = (id: string, changes: Partial<AdapterSnapshot> = {}): AdapterSnapshot => ({
  ...{ adapterId: `mdl-${id}`, name: id, baseModelId: 'fake-model', rank: 8, path: `/adapters/${id}`, ...changes },
});
const LORA = [{ rank: 8, prefill: 1.5, decode: 2 }];
const BODY = { messages: [{ role: 'user', content: 'hello' }], max_tokens: 5 };
const ask = (harness: Harness, model: string, more = {}) =>
  harness.post('/v1/chat/completions', { ...BODY, model, ...more });
const never = { aborted: false, reason: undefined, addEventListener() {}, removeEventListener() {} };

function withAdapters(adapters: readonly AdapterSnapshot[], replicas = [replica('rep-1')], adaptersPerReplica = 2) {
  return endpoint({ adapters, servedModels: [served({ lora: LORA, adaptersPerReplica, replicas })] });
}

describe('requests to endpoint:adapter', () => {
  it('load it once, say its name to the engine, and are told on the receipt with its own work', async () => {
    await using harness = await new Harness().start(withAdapters([adapter('a')]));
    for (const model of ['demo:a', 'demo:mdl-a', 'ep-1:a']) expect((await ask(harness, model)).status).toBe(200);
    expect((await ask(harness, 'demo')).status).toBe(200);
    await harness.idle();
    const engine = harness.engines.get('rep-1')!;
    expect(engine.adapterCalls).toEqual(['+mdl-a']);
    expect(engine.requests.map((request) => request.adapter)).toEqual(['mdl-a', 'mdl-a', 'mdl-a', undefined]);
    // What is cached with an adapter is no other's, and not the base's.
    expect(engine.requests.map((request) => request.cacheSalt)).toEqual(['t-1/mdl-a', 't-1/mdl-a', 't-1/mdl-a', 't-1']);
    const [first, , , base] = harness.receipts;
    expect([first?.adapterId, base?.adapterId]).toEqual(['mdl-a', null]);
    const { coefficients } = served();
    const { cachedTokens, outputTokens, promptTokens } = first!;
    const own = { ...coefficients, p1Us: coefficients.p1Us * 1.5, d1Us: coefficients.d1Us * 2 };
    expect(first!.actual).toEqual(workOf(own, { cachedTokens, outputTokens, promptTokens }));
    expect(base!.actual).toEqual(workOf(coefficients, base!));
    expect(first!.estimated.decodeUs).toBeGreaterThan(base!.estimated.decodeUs);
  });

  it('answers with usage that names it, streams too, and lists it among the models', async () => {
    await using harness = await new Harness().start(withAdapters([adapter('a')]));
    const answer = (await (await ask(harness, 'demo:a')).json()) as { usage: { cubit: { adapter: string } } };
    expect(answer.usage.cubit.adapter).toBe('mdl-a');
    expect(await (await ask(harness, 'demo:a', { stream: true })).text()).toContain('[DONE]');
    const { data } = await harness.client().models.list();
    expect(data.map((one) => one.id)).toEqual(['demo', 'demo:a']);
    expect((await harness.client().models.retrieve('demo:a')) as object).toMatchObject({
      adapter_id: 'mdl-a',
      rank: 8,
    });
  });

  it('are refused for what is not there, for embeddings, and for other tenants', async () => {
    await using harness = await new Harness().start(
      withAdapters([adapter('a'), adapter('b', { baseModelId: 'other' })]),
    );
    expect((await ask(harness, 'demo:none')).status).toBe(404);
    expect((await ask(harness, 'demo:')).status).toBe(404);
    expect((await ask(harness, 'demo:b')).status).toBe(503);
    const input = { model: 'demo:a', input: 'x' };
    expect((await harness.post('/v1/embeddings', input)).status).toBe(400);
    const stranger = { authorization: 'Bearer sk-other-key' };
    expect((await harness.post('/v1/chat/completions', { ...BODY, model: 'demo:a' }, stranger)).status).toBe(404);
  });

  it('load it again where the engine has lost it, once', async () => {
    await using harness = await new Harness().start(withAdapters([adapter('a')]));
    await ask(harness, 'demo:a');
    const engine = harness.engines.get('rep-1')!;
    engine.adapters.clear();
    expect((await ask(harness, 'demo:a')).status).toBe(200);
    expect(engine.adapterCalls).toEqual(['+mdl-a', '+mdl-a']);
    engine.adapters.clear();
    engine.keepsAdapters = false;
    expect((await ask(harness, 'demo:a')).status).toBe(502);
  });

  it('go to the replica that has it; a load that fails is tried on another and tells no path', async () => {
    const replicas = [replica('rep-1'), replica('rep-2')];
    await using harness = await new Harness().start(withAdapters([adapter('a')], replicas));
    for (let n = 0; n < 6; n += 1) await ask(harness, 'demo:a');
    const loads = [...harness.engines.values()].map(({ adapterCalls }) => adapterCalls.length);
    expect(loads.reduce((sum, count) => sum + count, 0)).toBe(1);
    const failAll = () => {
      for (const engine of harness.engines.values()) {
        engine.adapters.clear();
        engine.adapterLoad = null;
      }
    };
    failAll();
    expect((await ask(harness, 'demo:a')).status).toBe(200);
    expect(harness.engines.size).toBe(2);
    failAll();
    const refused = await ask(harness, 'demo:a');
    expect(refused.status).toBe(502);
    expect(await refused.text()).not.toContain('secret');
  });

  it('say in a dry run what loading will take', async () => {
    await using harness = await new Harness().start(withAdapters([adapter('a')]));
    const dry = async () =>
      (await (
        await harness.post('/v1/chat/completions', { ...BODY, model: 'demo:a' }, { 'x-cubit-dry-run': 'true' })
      ).json()) as { adapterLoadMs: number };
    expect((await dry()).adapterLoadMs).toBeGreaterThan(0);
    await ask(harness, 'demo:a');
    expect((await dry()).adapterLoadMs).toBe(0);
  });

  it('load anew after a replica restarted', async () => {
    await using harness = await new Harness().start(withAdapters([adapter('a')]));
    await ask(harness, 'demo:a');
    harness.gateway.apply(snapshot(withAdapters([adapter('a')], [replica('rep-1', { startedAtMs: 2 })])));
    expect((await ask(harness, 'demo:a')).status).toBe(200);
    expect(harness.engines.get('rep-1')!.adapterCalls).toEqual(['+mdl-a']);
  });
});

describe('the adapters of one replica', () => {
  function held(max: number) {
    const engine = new FakeEngine({ kind: 'llama', socketPath: 'x' });
    return {
      engine,
      adapters: new ReplicaAdapters(
        () => engine,
        max,
        () => undefined,
      ),
    };
  }

  it('evicts the least recently used, never one in use, and waits for room', async () => {
    const { adapters, engine } = held(2);
    const releaseA = await adapters.use(adapter('a'), never);
    (await adapters.use(adapter('b'), never))();
    (await adapters.use(adapter('c'), never))();
    expect(engine.adapterCalls).toEqual(['+mdl-a', '+mdl-b', '-mdl-b', '+mdl-c']);
    const releaseC = await adapters.use(adapter('c'), never);
    expect(adapters.canTake('mdl-d')).toBe(false);
    let got = false;
    const waiting = adapters.use(adapter('d'), never).then((release) => {
      got = true;
      return release;
    });
    await pause(5);
    expect(got).toBe(false);
    releaseA();
    (await waiting)();
    releaseC();
    expect(engine.adapterCalls.slice(4)).toEqual(['-mdl-a', '+mdl-d']);
  });

  it('loads once for many at a time, and one that leaves takes nobody with it', async () => {
    const { adapters, engine } = held(1);
    const { promise, resolve: finish } = Promise.withResolvers<void>();
    engine.adapterLoad = () => promise;
    const leave = new AbortController();
    const first = adapters.use(adapter('a'), leave.signal);
    const second = adapters.use(adapter('a'), never);
    leave.abort(new Error('left'));
    await expect(first).rejects.toThrow('left');
    await until(() => engine.adapterCalls.length === 1);
    finish();
    (await second)();
    expect(engine.adapterCalls).toEqual(['+mdl-a']);
    expect(adapters.canTake('mdl-b')).toBe(true);
  });
});
