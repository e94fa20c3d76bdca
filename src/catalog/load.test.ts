import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { CubitError } from '../core/errors.ts';
import type { Fault } from './fault.ts';
import { loadCatalog } from './load.ts';

type Json = Record<string, unknown>;

const architecture = {
  kind: 'decoder',
  parametersTotal: 1_000_000,
  parametersActive: 1_000_000,
  layers: 4,
  hiddenSize: 64,
  vocabularySize: 1000,
  tiedEmbeddings: true,
  attention: { kind: 'gqa', heads: 4, kvHeads: 2, headDimension: 16 },
  feedForward: { gated: true, intermediateSize: 128 },
};
const weights = {
  format: 'gguf',
  file: 'a.gguf',
  bytes: 1,
  sha256: 'a'.repeat(64),
  sources: [{ kind: 'url', url: 'https://example.org/a.gguf' }],
};
const model = {
  id: 'm',
  name: 'M',
  family: 'M',
  publisher: 'P',
  kind: 'base',
  availability: 'open_weights',
  provisionedAs: 'model_units',
  licence: 'MIT',
  contextTokens: 4096,
  capabilities: { chat: true, completion: true, embedding: false, structuredOutput: false, tools: false },
  architecture,
  weights,
  sources: ['a test'],
};
const machine = {
  id: 'box',
  name: 'Box',
  accelerator: null,
  acceleratorCount: 0,
  memoryBytes: null,
  bandwidthBytesPerS: null,
  flopsPerS: null,
  linkBytesPerS: null,
  sources: ['a test'],
};
const tier = { coefficient: 1, batch: 8, ratedTokensPerS: null, ttftMs: null, tpotMs: null };
const template = {
  id: 't',
  name: 'T',
  modelId: 'm',
  kind: 'single',
  roles: [{ role: 'unified', machineTypeId: 'box', machinesPerUnit: 1 }],
  engine: { kind: 'llama', contextTokens: 2048, sequences: 8 },
  kvTokensPerUnit: 16_384,
  startupMs: 1000,
  profile: {
    from: 'measured',
    on: 'a test',
    prefillFixedUs: 1,
    step: { tau0Us: 1, tau1Us: 1, tau2Us: 1, tau3Us: 1, tau4Us: 1, tau5Us: 0 },
  },
  tiers: [tier, { ...tier, coefficient: 2, batch: 4 }],
};
const price = { templateId: 't', hourly: '3.60', monthly: '1728.00', penalty: 0.3 };
const tokenPrice = { modelId: 'm', input: '0.80', cachedInput: '0.16', output: '2.00' };
const prices = { version: '1', currency: 'CNY', validFrom: '2026-11-01T00:00:00+08:00', prices: [price] };

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** A sound catalogue of one model, with files added or replaced; a string is written as it is, null left out. */
function catalogOf(files: Record<string, Json | string | null> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'cubit-catalog-'));
  dirs.push(dir);
  mkdirSync(join(dir, 'models'));
  mkdirSync(join(dir, 'templates'));
  mkdirSync(join(dir, 'profiles'));
  const all: Record<string, Json | string | null> = {
    'models/p.json': { models: [model] },
    'machine-types.json': { machineTypes: [machine] },
    'templates/t.json': template,
    'prices.json': prices,
    ...files,
  };
  for (const [name, content] of Object.entries(all)) {
    if (content !== null)
      writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return dir;
}

async function errorOf(dir: string): Promise<CubitError> {
  const error = await loadCatalog(dir).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(CubitError);
  expect((error as CubitError).code).toBe('config_invalid');
  return error as CubitError;
}

async function faultsOf(files: Record<string, Json | string | null>): Promise<string[]> {
  const error = await errorOf(catalogOf(files));
  return (error.details['faults'] as Fault[]).map(({ file, path, message }) => `${file} ${path}: ${message}`);
}

const modelsWith = (changes: Json, ...more: Json[]) => ({
  'models/p.json': { models: [{ ...model, ...changes }, ...more] },
});
const templateWith = (changes: Json) => ({ 'templates/t.json': { ...template, ...changes } });

describe('loadCatalog', () => {
  it('loads a sound catalogue and fills defaults in', async () => {
    const catalog = await loadCatalog(catalogOf());
    expect([...catalog.models.keys()]).toEqual(['m']);
    expect(catalog.models.get('m')?.preview).toBe(false);
    expect(catalog.templates.get('t')?.engine).toMatchObject({ threads: 0, structuredOutput: false });
    expect(catalog.machineTypes.get('box')?.acceleratorCount).toBe(0);
    expect(catalog.priceBook.prices).toEqual([price]);
  });

  it('lists the faults of all files at once, in the message too', async () => {
    const dir = catalogOf({
      'models/p.json': '{ "models": [',
      'machine-types.json': null,
      'templates/t.json': { ...template, startupMs: -1, colour: 'red' },
      'prices.json': { ...prices, currency: 'yuan' },
    });
    const { message, details } = await errorOf(dir);
    const found = (details['faults'] as Fault[]).map(({ file, path }) => `${file} ${path}`);
    expect(found).toEqual(
      expect.arrayContaining([
        'models/p.json ',
        'machine-types.json ',
        'templates/t.json startupMs',
        'prices.json currency',
      ]),
    );
    expect(message).toContain(`${found.length} faults`);
    expect(message).toMatch(/templates\/t\.json: Unrecognized key: "colour"; remove it or correct its name/);
    expect(message).toMatch(/models\/p\.json: is not JSON; correct it/);
  });

  it('says so when there is no folder', async () => {
    const { message } = await errorOf(join(tmpdir(), 'cubit-no-such-folder'));
    expect(message).toContain('models/: cannot be read; create the folder or correct catalogDir');
    expect(message).toContain('prices.json: cannot be read');
  });

  it('does not report what names a broken item as unknown', async () => {
    expect(await faultsOf(modelsWith({ name: '' }))).toEqual([
      expect.stringMatching(/^models\/p\.json models\[0\]\.name: Too small/),
    ]);
  });
});

describe('cross-checks', () => {
  const base = { 'models/p.json': { models: [model] } };
  const attention = architecture.attention;
  const experts = { count: 4, activePerToken: 2, shared: 0, intermediateSize: 64, layers: 4 };
  it.each<[string, Record<string, Json | string | null>, RegExp]>([
    [
      'id twice',
      { 'models/q.json': { models: [model] } },
      /^models\/q\.json models\[0\]\.id: m is taken in models\/p\.json/,
    ],
    [
      'file name',
      { 'templates/t.json': null, 'templates/u.json': template },
      /^templates\/u\.json id: is t; name the file t\.json/,
    ],
    ['unknown model', templateWith({ modelId: 'x' }), /^templates\/t\.json modelId: no model is called x/],
    [
      'unknown machine',
      templateWith({ roles: [{ role: 'unified', machineTypeId: 'x', machinesPerUnit: 1 }] }),
      /^templates\/t\.json roles\[0\]\.machineTypeId: no machine type is called x/,
    ],
    [
      'roles of the kind',
      templateWith({ kind: 'two_type', engine: { ...template.engine, kind: 'openai-http' } }),
      /roles: a two_type template has the roles prefill \+ decode/,
    ],
    [
      'batch above sequences',
      templateWith({ tiers: [{ ...tier, batch: 9 }] }),
      /tiers\[0\]\.batch: is more than engine\.sequences 8/,
    ],
    [
      'LoRA ranks out of order',
      templateWith({ lora: [16, 8].map((rank) => ({ rank, prefill: 1.1, decode: 1.1 })) }),
      /lora: order by rank, each rank once/,
    ],
    [
      'tiers out of order',
      templateWith({ tiers: [tier, tier] }),
      /tiers\[1\]\.coefficient: must be above the tier before \(1\)/,
    ],
    [
      'batch grows with k',
      templateWith({
        tiers: [
          { ...tier, batch: 4 },
          { ...tier, coefficient: 2 },
        ],
      }),
      /tiers\[1\]\.batch: is above the tier before \(4\)/,
    ],
    [
      'p95 below p50',
      templateWith({ tiers: [{ ...tier, ttftMs: { p50: 2, p95: 1 } }] }),
      /tiers\[0\]\.ttftMs\.p95: is below p50 2/,
    ],
    [
      'context above the model',
      templateWith({ engine: { ...template.engine, contextTokens: 8192 } }),
      /engine\.contextTokens: is more than the model's 4096/,
    ],
    [
      'context above the cache',
      templateWith({ kvTokensPerUnit: 1024 }),
      /engine\.contextTokens: is more than kvTokensPerUnit 1024/,
    ],
    ['llama without weights', modelsWith({ weights: undefined }), /engine\.kind: llama needs gguf weights/],
    [
      'price of nothing',
      { 'prices.json': { ...prices, prices: [{ ...price, templateId: 'x' }] } },
      /^prices\.json prices\[0\]\.templateId: no template is called x/,
    ],
    [
      'price twice',
      { 'prices.json': { ...prices, prices: [price, price] } },
      /prices\[1\]\.templateId: t has a price already/,
    ],
    [
      'token price of nothing',
      { 'prices.json': { ...prices, tokenPrices: [{ ...tokenPrice, modelId: 'x' }] } },
      /tokenPrices\[0\]\.modelId: no model is called x/,
    ],
    [
      'token price twice',
      { 'prices.json': { ...prices, tokenPrices: [tokenPrice, tokenPrice] } },
      /tokenPrices\[1\]\.modelId: m has a token price already/,
    ],
    [
      'cached tokens dearer than others',
      { 'prices.json': { ...prices, tokenPrices: [{ ...tokenPrice, cachedInput: '0.81' }] } },
      /tokenPrices\[0\]\.cachedInput: is above input 0\.80/,
    ],
    [
      'LoRA without base',
      modelsWith({}, { ...model, id: 'l', kind: 'lora' }),
      /models\[1\]\.baseModelId: is missing; name the base of this lora model/,
    ],
    [
      'unknown base',
      modelsWith({}, { ...model, id: 'l', kind: 'lora', baseModelId: 'x' }),
      /models\[1\]\.baseModelId: no model is called x/,
    ],
    [
      'LoRA on a LoRA',
      modelsWith(
        {},
        { ...model, id: 'l', kind: 'lora', baseModelId: 'm' },
        { ...model, id: 'k', kind: 'lora', baseModelId: 'l' },
      ),
      /models\[2\]\.baseModelId: l is a LoRA itself/,
    ],
    [
      'LoRA on itself',
      modelsWith({}, { ...model, id: 'l', kind: 'lora', baseModelId: 'l' }),
      /models\[1\]\.baseModelId: is the model itself/,
    ],
    ['base with a base', modelsWith({ baseModelId: 'm' }), /models\[0\]\.baseModelId: a base has none/],
    [
      'external with weights',
      modelsWith({ availability: 'external' }),
      /models\[0\]\.weights: an external model has no public weights/,
    ],
    [
      'active above total',
      modelsWith({ architecture: { ...architecture, parametersActive: 2_000_000 } }),
      /architecture\.parametersActive: is more than parametersTotal/,
    ],
    [
      'kind of attention',
      modelsWith({ architecture: { ...architecture, attention: { ...attention, kind: 'mha' } } }),
      /architecture\.attention\.kind: mha does not fit 2 KV heads of 4; it is gqa/,
    ],
    [
      'experts and dense layers',
      modelsWith({ architecture: { ...architecture, feedForward: { gated: true, intermediateSize: 128, experts } } }),
      /intermediateSize: .*say null, there are none/,
    ],
    [
      'windowed layers',
      modelsWith({
        architecture: { ...architecture, attention: { ...attention, slidingWindow: { tokens: 8, layers: 5 } } },
      }),
      /attention: has more windowed, linear and skipped layers than the model's 4/,
    ],
  ])('%s', async (_name, files, expected) => {
    expect(await faultsOf({ ...base, ...files })).toContainEqual(expect.stringMatching(expected));
  });
});

describe('profiles', () => {
  const step = { tau0Us: 7, tau1Us: 6, tau2Us: 5, tau3Us: 4, tau4Us: 3, tau5Us: 2 };
  const profile = {
    templateId: 't',
    measuredAt: '2026-11-24T16:00:00.000Z',
    on: 'a machine',
    prefillFixedUs: 9,
    step,
    prefillTokensMax: 64,
    selfCheck: { promptTokens: 12, outputTokens: 6, us: 400_000 },
    fit: {
      observations: 3,
      medianErrorPct: 1,
      meanErrorPct: 2,
      crossValidatedMedianErrorPct: null,
      crossValidatedMeanErrorPct: null,
    },
    ratedAt: { promptTokens: 100, outputTokens: 10 },
    tiers: [{ ...tier, batch: 6, ratedTokensPerS: 50, found: 'simulated' }],
    cells: [],
  };

  it('replace the step and the tiers of their template, and nothing else', async () => {
    const plain = await loadCatalog(catalogOf());
    const catalog = await loadCatalog(catalogOf({ 'profiles/t.json': profile }));
    const { profile: measured, tiers, ...others } = catalog.templates.get('t')!;
    expect(measured).toEqual({
      from: 'measured',
      on: 'a machine',
      prefillFixedUs: 9,
      step,
      selfCheck: profile.selfCheck,
    });
    expect(tiers).toEqual(profile.tiers);
    const { profile: _profile, tiers: _tiers, ...before } = plain.templates.get('t')!;
    expect(others).toEqual(before);
    expect(catalog.priceBook).toEqual(plain.priceBook);
  });

  it('add what adapters cost, rank by rank', async () => {
    const shipped = {
      ...profile,
      lora: [
        { rank: 8, prefill: 1.1, decode: 1.1 },
        { rank: 64, prefill: 1.3, decode: 1.2 },
      ],
    };
    const own = { ...profile, lora: [{ rank: 8, prefill: 1.2, decode: 1 }] };
    const dir = catalogOf({ 'profiles/t.json': own, 'templates/t.json': { ...template, lora: shipped.lora } });
    expect((await loadCatalog(dir)).templates.get('t')?.lora).toEqual([own.lora[0], shipped.lora[1]]);
    const faster = catalogOf({ 'profiles/t.json': { ...own, lora: [{ rank: 8, prefill: 0.9, decode: 1 }] } });
    await expect(loadCatalog(faster)).rejects.toThrow(/lora\[0\]\.prefill/);
  });

  it('of the operator win over those that ship; their folder need not be there', async () => {
    const dir = catalogOf({ 'profiles/t.json': profile });
    const own = join(catalogOf({ 'profiles/t.json': { ...profile, on: 'mine', selfCheck: null } }), 'profiles');
    expect((await loadCatalog(dir, own)).templates.get('t')?.profile).toMatchObject({ on: 'mine' });
    expect((await loadCatalog(dir, join(dir, 'nowhere'))).templates.get('t')?.profile.on).toBe('a machine');
  });

  it.each<[string, Json | string, RegExp]>([
    ['of no template', { ...profile, templateId: 'x' }, /^profiles\/t\.json templateId: no template is called x/],
    [
      'of another engine size',
      { ...profile, tiers: [{ ...tier, batch: 9 }] },
      /^profiles\/t\.json tiers: were found with more than the 8 sequences/,
    ],
    ['with a negative time', { ...profile, step: { ...step, tau1Us: -1 } }, /^profiles\/t\.json step\.tau1Us/],
    ['without tiers', { ...profile, tiers: [] }, /^profiles\/t\.json tiers/],
    ['that are no JSON', '{', /^profiles\/t\.json : is not JSON/],
  ])('%s are faults', async (_name, content, expected) => {
    expect(await faultsOf({ 'profiles/t.json': content })).toContainEqual(expect.stringMatching(expected));
  });
});
