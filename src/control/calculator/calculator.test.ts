import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadCatalog } from '../../catalog/load.ts';
import type { Receipt } from '../../core/commerce/metering.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { newId } from '../call.ts';
import { refusal, START_MS, type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { answerQuestion } from './answer.ts';
import { calculatorRun } from './run.ts';
import { CalculatorInput } from './schemas.ts';

const shipped = await loadCatalog();
let control: TestControl;
let tenant: TestTenant;
const MEANS = { modelId: 'alpha', requestsPerMinute: 60, promptTokens: 200, outputTokens: 50 };

beforeEach(async () => {
  control = await testControl();
  tenant = await control.tenant();
});
afterEach(() => control.store.close());

describe('POST /api/v1/calculator', () => {
  it('answers for every template and tier of the model, with exact money, to any key', async () => {
    const { body, status } = await control.http('POST', '/api/v1/calculator', { token: tenant.readerKey, body: MEANS });
    expect(status).toBe(200);
    expect(new Set(body['plans'].map((plan: { templateId: string }) => plan.templateId))).toEqual(
      new Set(['alpha-local', 'alpha-pair', 'alpha-unpriced', 'alpha-elsewhere']),
    );
    expect(body['best']).toMatchObject({ templateId: 'alpha-local', cost: { monthlyPrepaid: { currency: 'CNY' } } });
    expect(body['best'].cost.monthlyPrepaid.amount).toBe(`${1728 * body['best'].units}.000000`);
    expect(body['simulation']).toBeNull();
  });

  it('says whether a template was measured here', async () => {
    const { plans } = await control.call(calculatorRun, tenant.reader, MEANS);
    const provenance = Object.fromEntries(plans.map((plan) => [plan.templateId, plan.confidence.provenance]));
    expect(provenance).toMatchObject({ 'alpha-local': 'measured_here', 'alpha-elsewhere': 'measured_elsewhere' });
  });

  it('simulates a trace, and mends and reports what is wrong with it', async () => {
    const row = (atMs: number, outputTokens = 20) => ({ atMs, promptTokens: 50, outputTokens });
    const trace = [...Array.from({ length: 60 }, (_, index) => row(index * 1_000)), row(500, 0), row(9 * 3_600_000)];
    const { best, notes, simulation } = await control.call(calculatorRun, tenant.reader, { modelId: 'alpha', trace });
    expect(simulation).toMatchObject({ units: best?.units, meets: true, preemptions: 0 });
    expect(simulation?.ttftMs.p50).toBeGreaterThan(0);
    expect(notes).toEqual([
      '1 of 62 rows came before the row above them: sorted by time',
      '1 requests without output were counted with one token',
      'nothing arrives for 9.0 h from 0.0 h on: if that is a hole in the record, the rate is higher',
    ]);
  });

  it('buys more units for bursts than for the same requests spread evenly', async () => {
    const spread = Array.from({ length: 40 }, (_, index) => ({
      atMs: index * 60_000,
      promptTokens: 200,
      outputTokens: 20,
    }));
    const burst = spread.map((row, index) => ({ ...row, atMs: Math.floor(index / 20) * 1_170_000 + (index % 20) }));
    const ask = (trace: typeof spread) =>
      control.call(calculatorRun, tenant.reader, { modelId: 'alpha', trace, ttftMs: 500 });
    const [even, lumpy] = [await ask(spread), await ask(burst)];
    expect(lumpy.simulation?.units).toBeGreaterThan(even.simulation?.units ?? 0);
    expect(lumpy.best?.units).toBe(lumpy.simulation?.units);
  });

  it('finds the shared prefixes of a trace that says which blocks there are', async () => {
    const trace = Array.from({ length: 30 }, (_, index) => ({
      ...{ atMs: index * 20_000, promptTokens: 160, outputTokens: 5 },
      blocks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 100 + index],
    }));
    const { cachedShare, simulation } = await control.call(calculatorRun, tenant.reader, {
      ...{ modelId: 'alpha', trace, blockTokens: 16 },
    });
    expect(cachedShare).toBeCloseTo((29 * 144) / (30 * 160), 9);
    expect(simulation?.cachedShare).toBeCloseTo(cachedShare, 2);
  });
});

describe('recorded usage', () => {
  const receipt = (endpointId: string, servedModelId: string, n: number): Receipt => ({
    requestId: newId('request'),
    tenantId: tenant.tenantId,
    keyId: 'key-1',
    endpointId,
    servedModelId,
    replicaId: 'rep-1',
    adapterId: null,
    kind: 'chat',
    outcome: n === 50 ? 'cancelled' : 'completed',
    cause: 'stop',
    promptTokens: n === 50 ? 9_999 : 100,
    cachedTokens: 25,
    outputTokens: 30,
    estimated: { prefillUs: 0, decodeUs: 0 },
    actual: { prefillUs: 0, decodeUs: 0 },
    receivedAtMs: START_MS - 3_600_000 + n * 10_000,
    endedAtMs: START_MS,
    waitMs: 0,
    ttftMs: 1,
    spill: null,
    tpotMs: 1,
  });

  it('is what the endpoint completed: its rate, lengths and cache hits', async () => {
    const { endpointId } = await control.endpoint(tenant.manager);
    const served = await control.deps.db.selectFrom('served_models').select('id').executeTakeFirstOrThrow();
    const receipts = Array.from({ length: 101 }, (_, n) => receipt(endpointId, served.id, n));
    await insertReceipts(control.deps.db, receipts);
    const answer = await control.call(calculatorRun, tenant.reader, { endpointId: 'chat' });
    expect(answer).toMatchObject({ modelId: 'alpha', promptTokens: 100, outputTokens: 30, cachedShare: 0.25 });
    // 100 completed over 1,000 s.
    expect(answer.requestsPerS).toBeCloseTo(99 / 1_000, 9);
    expect(answer.best?.units).toBeGreaterThanOrEqual(1);
  });

  it('of nothing says so, and of another tenant is not found', async () => {
    await control.endpoint(tenant.manager);
    const ask = (actor: TestTenant) => control.call(calculatorRun, actor.reader, { endpointId: 'chat' });
    expect(await refusal(ask(tenant))).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/0 completed requests/),
    });
    expect(await refusal(ask(await control.tenant()))).toMatchObject({ code: 'not_found' });
  });
});

describe('bad input', () => {
  const ask = (input: Parameters<typeof CalculatorInput.parse>[0]) => () =>
    answerQuestion({ catalog: shipped, servedHere: () => false, recorded: null }, CalculatorInput.parse(input));
  const llama = { ...MEANS, modelId: 'llama-3.1-8b-instruct' };

  it('names models like one that is not there', () => {
    expect(ask({ ...MEANS, modelId: 'llama-3.1-8b' })).toThrow(/did you mean .*llama-3.1-8b-instruct/);
    expect(ask({ ...MEANS, modelId: 'nothing-like-it' })).toThrow(/cubit model list/);
  });

  it('asks for the four facts of a machine that it does not know, and calculates with them', () => {
    expect(ask({ ...llama, machineTypeId: 'tpu-v9' })).toThrow(
      /memoryBytes.*bandwidthBytesPerS.*flopsPerS.*linkBytesPerS/,
    );
    const machine = { memoryBytes: 96e9, bandwidthBytesPerS: 4e12, flopsPerS: 5e14, linkBytesPerS: null };
    expect(ask({ ...llama, machine })().best).toMatchObject({
      units: 1,
      cost: null,
      confidence: { provenance: 'facts' },
    });
    expect(ask({ ...llama, machine: { ...machine, memoryBytes: 8e9 } })).toThrow(/weights .* take 16 GB/);
  });

  it('takes the weight of an adapter from what was measured for its rank', () => {
    const smol = { ...MEANS, modelId: 'smollm2-135m-instruct' };
    const [, , measured] = shipped.templates.get('smollm2-135m-local')?.lora ?? [];
    const factor = Math.max(measured!.prefill, measured!.decode);
    const answer = ask({ ...smol, loraRank: measured!.rank })();
    expect(answer.plans).toEqual(ask({ ...smol, loraFactor: factor })().plans);
    expect(answer.notes.join()).toContain(`rank 64 takes ${factor.toFixed(2)} times the work`);
    expect(ask({ ...smol, loraRank: 8, loraFactor: 2 })).toThrow(/not both/);
    expect(ask({ ...llama, loraRank: 8 })).toThrow(/cubit profile --adapter/);
  });

  it('knows machine types of the catalogue for which a model has no template', () => {
    expect(ask({ ...llama, machineTypeId: 'h200-x8' })().best?.templateId).toBe('llama-3.1-8b-instruct on h200-x8');
  });

  it.each([
    ['two ways to say the traffic', { ...llama, trace: [] }],
    ['no way to say it', { modelId: llama.modelId }],
    ['no rate', { ...llama, requestsPerMinute: undefined }],
    ['no output length', { ...llama, outputTokens: undefined }],
    ['no model', { ...llama, modelId: undefined }],
    ['a rate of 0', { ...llama, requestsPerMinute: 0 }],
    ['input over every context', { ...llama, promptTokens: 40_000 }],
    ['an empty trace', { modelId: llama.modelId, trace: [] }],
  ])('refuses %s', (_, input) => {
    expect(ask(input)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
