import { describe, expect, it } from 'vitest';
import { loadCatalog } from './load.ts';

// The catalogue that ships: every model of both source lists is there, sold the way its list says.
const catalog = await loadCatalog();

const MODEL_UNITS = [
  'gemini-2.5-pro',
  'gemini-2.5-flash',
  'gpt-5',
  'gpt-5-mini',
  'gpt-5-nano',
  'gpt-oss-120b',
  'gpt-oss-20b',
  'gemma-3-12b-it',
  'llama-4-maverick-17b-128e-instruct',
];
const TOKENS_PER_SECOND = [
  'llama-3.3-70b-instruct',
  'llama-3.2-3b-instruct',
  'llama-3.2-1b-instruct',
  'llama-3.1-8b-instruct',
  'llama-3.1-70b-instruct',
  'llama-3.1-405b-instruct',
  'llama-3-8b-instruct',
  'llama-3-70b-instruct',
  'llama-2-7b-chat',
  'llama-2-13b-chat',
  'llama-2-70b-chat',
  'gte-large-en-v1.5',
  'bge-large-en-v1.5',
  'deepseek-r1',
  'dbrx-instruct',
  'mistral-7b-instruct-v0.3',
  'mixtral-8x7b-instruct-v0.1',
  'mpt-7b',
  'mpt-30b',
];
const EXTERNAL = ['gemini-2.5-pro', 'gemini-2.5-flash', 'gpt-5', 'gpt-5-mini', 'gpt-5-nano'];

describe('models', () => {
  it.each(MODEL_UNITS)('%s is provisioned in model units', (id) => {
    expect(catalog.models.get(id)?.provisionedAs).toBe('model_units');
  });

  it.each(TOKENS_PER_SECOND)('%s is provisioned by throughput band', (id) => {
    expect(catalog.models.get(id)?.provisionedAs).toBe('tokens_per_second');
  });

  it('says external for what is only sold as a service, and describes everything else', () => {
    const external = [...catalog.models.values()].filter(({ availability }) => availability === 'external');
    const doubao = external.filter(({ publisher }) => publisher === 'ByteDance');
    expect(doubao.length).toBeGreaterThan(10);
    expect(new Set(external.map(({ id }) => id))).toEqual(new Set([...EXTERNAL, ...doubao.map(({ id }) => id)]));
    const open = [...catalog.models.values()].filter(({ availability }) => availability === 'open_weights');
    expect(open.filter(({ architecture }) => architecture === undefined)).toEqual([]);
    expect(open.filter(({ licence }) => licence === null)).toEqual([]);
  });

  it('marks Llama 4 Maverick as preview, and nothing else', () => {
    const preview = [...catalog.models.values()].filter((model) => model.preview).map(({ id }) => id);
    expect(preview).toEqual(['llama-4-maverick-17b-128e-instruct']);
  });

  it('has the embedding models as encoders that do not chat', () => {
    for (const id of ['gte-large-en-v1.5', 'bge-large-en-v1.5']) {
      const { architecture, capabilities } = catalog.models.get(id)!;
      expect(architecture?.kind).toBe('encoder');
      expect(capabilities).toMatchObject({ chat: false, completion: false, embedding: true });
    }
  });
});

describe('templates', () => {
  it('runs the embedded model on this machine from weights that are pinned', () => {
    const template = catalog.templates.get('smollm2-135m-local')!;
    expect(template).toMatchObject({ kind: 'single', modelId: 'smollm2-135m-instruct' });
    expect(template.engine).toMatchObject({ kind: 'llama', contextTokens: 2048, sequences: 8 });
    const { weights } = catalog.models.get(template.modelId)!;
    expect(weights?.sources.map(({ kind }) => kind)).toEqual(['url', 'pip']);
    expect(weights?.bytes).toBe(98_362_432);
  });

  it('has an example of every kind, and a price for every template', () => {
    const templates = [...catalog.templates.values()];
    expect(new Set(templates.map(({ kind }) => kind))).toEqual(new Set(['single', 'two_type', 'three_type']));
    const priced = new Set(catalog.priceBook.prices.map(({ templateId }) => templateId));
    expect(templates.filter(({ id }) => !priced.has(id))).toEqual([]);
  });
});
