import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCatalog } from '../../catalog/load.ts';
import { answerQuestion } from '../../control/calculator/answer.ts';
import { CalculatorInput } from '../../control/calculator/schemas.ts';
import { parseHistogram, parseShape } from './files.ts';
import { type CalcFlags, questionOf } from './question.ts';
import { answerText } from './text.ts';

const fail = (message: string): never => {
  throw new Error(`usage: ${message}`);
};
const DEFAULTS: CalcFlags = { cacheHit: '0', spread: '0', percentile: '95' };
const MEANS: CalcFlags = { ...DEFAULTS, model: 'llama-3.1-8b-instruct', rpm: '100', input: '500', output: '50' };
const sample = (name: string) => fileURLToPath(new URL(`../../workload/samples/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cubit-calc-'));
afterAll(() => rmSync(folder, { recursive: true }));
const invalid = expect.objectContaining({ code: 'invalid_request' });

describe('flags', () => {
  it('become the API’s question', () => {
    const flags = { ...MEANS, cacheHit: '25%', ttft: '800', tpot: '40', coefficient: '1.5', percentile: '50' };
    expect(questionOf(fail, flags).question).toMatchObject({
      ...{ modelId: 'llama-3.1-8b-instruct', requestsPerMinute: 100, promptTokens: 500, outputTokens: 50 },
      ...{ cachedShare: 0.25, ttftMs: 800, tpotMs: 40, coefficient: 1.5, percentile: 'p50' },
    });
  });

  it('read a trace by its content', () => {
    const azure = questionOf(fail, { ...DEFAULTS, model: 'm', trace: sample('azure-code-2023.csv') });
    expect([azure.question.trace?.length, azure.question.blockTokens, azure.short]).toEqual([400, 0, true]);
    const mooncake = questionOf(fail, { ...DEFAULTS, model: 'm', trace: sample('mooncake-conversation.jsonl') });
    expect(mooncake.question.blockTokens).toBe(512);
    expect(mooncake.question.trace?.[0]?.blocks).toHaveLength(14);
  });

  it('say when a trace is too long for one request of the API', () => {
    const path = join(folder, 'long.csv');
    const rows = Array.from(
      { length: 10_001 },
      (_, n) => `2023-11-16 18:${String(n % 60).padStart(2, '0')}:00.0000000,10,1`,
    );
    writeFileSync(path, `TIMESTAMP,ContextTokens,GeneratedTokens\n${rows.join('\n')}\n`);
    expect(questionOf(fail, { ...DEFAULTS, model: 'm', trace: path })).toMatchObject({ short: false });
  });

  it('take hardware by its facts', () => {
    const machineFacts = 'memory=80e9, bandwidth=3.35e12, flops=989e12, link=450e9, accelerators=4';
    expect(questionOf(fail, { ...MEANS, machineFacts }).question.machine).toEqual({
      ...{ memoryBytes: 80e9, bandwidthBytesPerS: 3.35e12, flopsPerS: 989e12, linkBytesPerS: 450e9, accelerators: 4 },
    });
  });

  it.each<[string, CalcFlags]>([
    ['no traffic', { ...DEFAULTS, model: 'm' }],
    ['two traffics', { ...MEANS, endpoint: 'e' }],
    ['words for numbers', { ...MEANS, rpm: 'many' }],
    ['nothing for a number', { ...MEANS, rpm: ' ' }],
    ['what overflows', { ...MEANS, input: '1e999' }],
    ['a share above 1', { ...MEANS, cacheHit: '150%' }],
    ['another percentile', { ...MEANS, percentile: '99' }],
    ['an unknown fact', { ...MEANS, machineFacts: 'memory=1,colour=2' }],
    ['a missing fact', { ...MEANS, machineFacts: 'memory=80e9,bandwidth=3e12' }],
    [
      'several accelerators without a link',
      { ...MEANS, machineFacts: 'memory=8e10,bandwidth=3e12,flops=1e15,accelerators=8' },
    ],
  ])('refuse %s', (_, flags) => expect(() => questionOf(fail, flags)).toThrow(/^usage: /));

  it('refuse a file that is not there', () => {
    expect(() => questionOf(fail, { ...DEFAULTS, model: 'm', trace: '/nowhere.csv' })).toThrow(invalid);
  });
});

describe('files', () => {
  it('are read in any order of columns, empty classes left out', () => {
    expect(parseHistogram('count,output,input,cached\n3,10,100,50\n0,1,1,1\n', 'h.csv')).toEqual([
      { promptTokens: 100, outputTokens: 10, cachedTokens: 50, weight: 3 },
    ]);
  });

  it.each([
    '',
    'input,output\n1,2',
    'input,output,count\n1,2',
    'input,output,count\n1,-2,3',
    'input,output,count\nx,2,3',
    'input,output,count\n',
  ])('refuse the histogram %j', (csv) => expect(() => parseHistogram(csv, 'h.csv')).toThrow(invalid));

  it('take a day as lines or as JSON, and nothing but 24 numbers', () => {
    const day = Array.from({ length: 24 }, (_, hour) => hour);
    expect(parseShape(day.join('\n'), 'd')).toEqual(day);
    expect(parseShape(JSON.stringify(day), 'd')).toEqual(day);
    for (const bad of ['', '1 2 3', day.map(() => '-1').join(' '), day.map(() => 'x').join(' ')]) {
      expect(() => parseShape(bad, 'd')).toThrow(invalid);
    }
  });
});

describe('the answer for people', () => {
  const context = { servedHere: () => false, recorded: null };

  it('says in one line what to buy and why', async () => {
    const catalog = await loadCatalog();
    const { question } = questionOf(fail, { ...MEANS, cacheHit: '0.5' });
    const text = answerText(answerQuestion({ ...context, catalog }, CalculatorInput.parse(question)), 'a test', true);
    const [traffic, advice] = text.split('\n');
    expect(traffic).toBe('llama-3.1-8b-instruct: 100 requests a minute of 500 tokens in, 50 % of it cached, 50 out');
    expect(advice).toMatch(
      /^Buy 1 unit of llama-3\.1-8b-\S+ at coefficient 1, 1 by the month: \d+ CNY a month\. Busy /,
    );
    expect(text).toContain('not measured');
    expect(text).toContain('PTU');
  });

  it('says which target nothing reaches, and by how much', async () => {
    const catalog = await loadCatalog();
    const { question } = questionOf(fail, { ...MEANS, tpot: '0.5' });
    const text = answerText(answerQuestion({ ...context, catalog }, CalculatorInput.parse(question)), 'a test', false);
    expect(text).toMatch(/No number of units reaches the targets.*TPOT [\d.]+ ms instead of 0\.5 ms \(\d+ % more\)/);
  });
});
