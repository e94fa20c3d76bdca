import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCatalog } from '../catalog/load.ts';
import { simulateEngine } from '../sim/engine.ts';
import { createFactFinder } from './calculator/facts.ts';
import { type BundleTexts, parseBundle } from './engine/bundle.ts';
import { calibrate, scaledConfig } from './engine/calibrate.ts';
import { deploymentOf } from './engine/deployment.ts';
import { engineConfigOf, loadOf } from './engine/settings.ts';
import { evaluateEngine } from './engine.ts';

const folder = join(import.meta.dirname, 'engine/samples/rtx4090-llama-3.1-8b');
const text = (name: string) => readFileSync(join(folder, name), 'utf8');
const sample: BundleTexts = {
  config: text('config.json'),
  meta: text('meta.json'),
  requests: text('requests.jsonl'),
};
const finder = createFactFinder(await loadCatalog());

// biome-ignore lint/suspicious/noExplicitAny: edits of foreign JSON
type Edit = (json: any) => void;
function edited(part: 'config' | 'meta', edit: Edit): BundleTexts {
  const json = JSON.parse(sample[part]);
  edit(json);
  return { ...sample, [part]: JSON.stringify(json) };
}

describe('evaluateEngine', () => {
  it('predicts a real run from specifications, and better after its first requests', () => {
    const report = evaluateEngine(sample, finder, { calibrate: 0.3 });
    expect(Math.abs(report.ttftErrPct)).toBeLessThan(15);
    expect(Math.abs(report.tpotErrPct)).toBeLessThan(10);
    expect(Math.abs(report.e2eErrPct)).toBeLessThan(10);
    expect(report.measured.ttftMs).toBeCloseTo(65_456.6, 1);
    expect(report.assumed).toEqual([]);
    const { calibrated } = report;
    for (const errors of [calibrated!, calibrated!.heldOut]) {
      expect(Math.abs(errors.ttftErrPct)).toBeLessThan(5);
      expect(Math.abs(errors.tpotErrPct)).toBeLessThan(1.5);
      expect(Math.abs(errors.e2eErrPct)).toBeLessThan(1.5);
    }
  });

  it('lets only arrivals, lengths and settings of the log enter: other stamps change no prediction', () => {
    const shifted = sample.requests.replaceAll(
      /"last_token_ts":([\d.]+)/g,
      (_, at) => `"last_token_ts":${Number(at) + 9}`,
    );
    const report = evaluateEngine({ ...sample, requests: shifted }, finder);
    expect(report.predicted).toEqual(evaluateEngine(sample, finder).predicted);
    expect(report.measured.e2eMs).toBeGreaterThan(86_578 + 8_999);
  });

  it('says what a bundle leaves open', () => {
    const bare = edited('meta', (meta) => {
      delete meta.kv_cache;
      delete meta.resolved_config;
      meta.engine_kwargs.max_num_seqs = null;
    });
    const { assumed } = evaluateEngine(bare, finder);
    expect(assumed.join('\n')).toMatch(
      /KV cache: \d+ tokens a rank[\s\S]*sequences at most[\s\S]*async scheduling: true/,
    );
  });

  it('runs ranks that share experts in step, and others as engines of their own', () => {
    const model = 'Qwen/Qwen3-30B-A3B';
    const asRanks = (name: string): BundleTexts => {
      const config = JSON.parse(sample.config);
      config.nodes[0].instances[0] = { ...config.nodes[0].instances[0], model_name: name, hardware: 'RTXPRO6000' };
      config.nodes[0].instances[0].npu_mem.mem_size = 96;
      const meta = JSON.parse(sample.meta);
      meta.model = name;
      meta.engine_kwargs.data_parallel_size = 2;
      delete meta.kv_cache;
      return { ...sample, config: JSON.stringify(config), meta: JSON.stringify(meta) };
    };
    const experts = evaluateEngine(asRanks(model), finder);
    const dense = evaluateEngine(asRanks('meta-llama/Llama-3.1-8B'), finder);
    expect(dense.simulated.steps).toBeGreaterThan(experts.simulated.steps);
    expect(() => evaluateEngine(asRanks('meta-llama/Llama-3.1-8B'), finder, { calibrate: 0.3 })).toThrow(
      /ranks are engines/,
    );
  });

  it('takes the facts it is given of a model and an accelerator that the catalogue does not know', () => {
    const strange = edited('meta', (meta) => {
      meta.model = 'someone/New-7B';
    });
    expect(() => evaluateEngine(strange, finder)).toThrow(/someone\/New-7B.*--model-config/);
    const modelConfig = {
      hidden_size: 4_096,
      intermediate_size: 14_336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      vocab_size: 128_256,
    };
    const known = evaluateEngine(sample, finder).predicted;
    expect(evaluateEngine(strange, finder, { modelConfig }).predicted).toEqual(known);
    const card = edited('config', (config) => {
      config.nodes[0].instances[0].hardware = 'XPU9';
    });
    expect(() => evaluateEngine(card, finder)).toThrow(/XPU9.*--tflops/);
    expect(evaluateEngine(card, finder, { flopsPerS: 165e12 }).predicted.tpotMs / known.tpotMs).toBeCloseTo(1.1, 0);
  });

  it.each<[string, BundleTexts, RegExp]>([
    ['no JSON', { ...sample, meta: '{' }, /meta\.json is not JSON/],
    ['a missing key', edited('config', (c) => delete c.link_bw), /config\.json lacks something: link_bw/],
    ['no requests', { ...sample, requests: '\n' }, /requests\.jsonl is empty/],
    ['a row without a stamp', { ...sample, requests: '{"input_toks":1}' }, /requests\.jsonl line 1 lacks/],
    [
      'stamps out of order',
      { ...sample, requests: sample.requests.split('\n')[0]!.replace(/"queued_ts":[\d.]+/, '"queued_ts":9e9') },
      /line 1: its times are not in the order/,
    ],
    ['pipeline stages', edited('config', (c) => Object.assign(c.nodes[0].instances[0], { pp_size: 2 })), /pp_size 1/],
    ['split roles', edited('config', (c) => Object.assign(c.nodes[0].instances[0], { pd_type: 'decode' })), /pd_type/],
    ['an unknown quantization', edited('meta', (m) => Object.assign(m.engine_kwargs, { quantization: 'x1' })), /x1/],
    [
      'a model too large',
      edited('meta', (m) => Object.assign(m, { model: 'Qwen/Qwen3-32B', kv_cache: null })),
      /not fit/,
    ],
  ])('refuses %s, naming it', (_name, texts, message) => {
    expect(() => evaluateEngine(texts, finder)).toThrow(message);
  });
});

describe('calibrate', () => {
  it('finds the factors of a run that was simulated with them', () => {
    const bundle = parseBundle(sample);
    const config = engineConfigOf(bundle, deploymentOf(bundle, finder, {}), []);
    const load = loadOf(bundle);
    const truth = [1.1, 0.8, 1, 1, 1.15, 0.5];
    const run = simulateEngine(scaledConfig(config, truth), load).requests;
    const stamps = run.map(({ drainedMs, e2eMs, ttftMs }, index) => {
      const { atMs, outputTokens, promptTokens } = load[index]!;
      const at = (ms: number) => (atMs + ms) / 1000;
      return {
        promptTokens,
        outputTokens,
        arrivalS: at(0),
        queuedS: at(drainedMs),
        firstTokenS: at(ttftMs),
        lastTokenS: at(e2eMs),
      };
    });
    const factors = calibrate(config, load, stamps, 90);
    const again = simulateEngine(scaledConfig(config, factors), load).requests;
    const sum = (list: typeof run, figure: 'ttftMs' | 'e2eMs') => list.reduce((total, each) => total + each[figure], 0);
    expect(sum(again, 'e2eMs') / sum(run, 'e2eMs')).toBeCloseTo(1, 2);
    expect(sum(again, 'ttftMs') / sum(run, 'ttftMs')).toBeCloseTo(1, 2);
    expect(factors[0]).toBeCloseTo(1.1, 1);
    expect(factors[1]).toBeCloseTo(0.8, 1);
  });
});
