import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadCatalog } from '../catalog/load.ts';
import { type Cell, groupOf, parseCells } from './work/cells.ts';
import { createDeploymentFinder } from './work/deployment.ts';
import { correctedCoefficients, PARTS, slopesOf, workPerTokenUs } from './work/parts.ts';
import { evaluateWork } from './work.ts';

const catalog = await loadCatalog();
const cells = parseCells(readFileSync(new URL('./samples/trtllm-perf-overview.csv', import.meta.url), 'utf8'));
const cell = (change: Partial<Cell>): Cell => ({ ...(cells[0] as Cell), ...change });

describe('evaluateWork', () => {
  const report = evaluateWork(cells, catalog);

  it('predicts each cell from the others, far better than fixed weights', () => {
    expect(report.cells).toBe(cells.length);
    expect(report.uncovered).toEqual([]);
    expect(report.mapePct).toBeLessThan(15);
    expect(report.mapePct).toBeLessThan((report.linearMapePct as number) / 2);
    expect(report.withoutTwinsMapePct).toBeGreaterThan(report.mapePct as number);
  });

  it('never sees the cell that it predicts', () => {
    const first = cells[0] as Cell;
    const others = cells.filter((one) => groupOf(one) !== groupOf(first));
    const errorPct = (tokensPerS: number) => {
      const { byGroup } = evaluateWork([...others, { ...first, tokensPerS }], catalog);
      return byGroup.find(({ group }) => group === groupOf(first))?.mapePct as number;
    };
    // Against a measurement far above, the error tells the prediction: it must be the same one.
    const predicted = 1_000 * first.tokensPerS * (1 - errorPct(1_000 * first.tokensPerS) / 100);
    expect(errorPct(first.tokensPerS)).toBeCloseTo(100 * Math.abs(predicted / first.tokensPerS - 1), 6);
  });

  it('takes a group of one cell from the step model', () => {
    const one = evaluateWork([cells[0] as Cell], catalog);
    expect(one).toMatchObject({ cells: 1, byGroup: [{ fromStepModel: true }] });
    expect(one.mapePct).toBeLessThan(60);
  });

  it('lists what it has no facts for instead of skipping it', () => {
    const { uncovered, ...rest } = evaluateWork(
      [
        cell({ model: 'unheard-of-7b' }),
        cell({ gpu: 'Z900' }),
        cell({ gpu: 'Z900', outputTokens: 7 }),
        cell({ parallel: 'XQ2' }),
        cell({ precision: 'FP3' }),
      ],
      catalog,
    );
    expect(rest).toMatchObject({ cells: 0, mapePct: null, medianApePct: null, linearMapePct: null, byGroup: [] });
    expect(uncovered.map(({ cells: count, gpu, model, reason }) => [count, gpu, model, reason.split(' ')[0]])).toEqual([
      [1, cells[0]?.gpu, 'unheard-of-7b', 'the'],
      [2, 'Z900', cells[0]?.model, 'the'],
      [1, cells[0]?.gpu, cells[0]?.model, 'parallel'],
      [1, cells[0]?.gpu, cells[0]?.model, 'precision'],
    ]);
  });
});

describe('parseCells', () => {
  const header = 'model,gpu,parallel,precision,isl,osl,out_tok_s_per_gpu';

  it('names the columns and the line that are wrong', () => {
    expect(() => parseCells('model,gpu\na,b\n')).toThrow('lacks the columns parallel, precision, isl');
    expect(() => parseCells(`${header}\n`)).toThrow('has no rows');
    expect(() => parseCells(`${header}\na,b,TP1,FP8,10,10,5\na,b,TP1,FP8,10,0,5\n`)).toThrow('line 3: osl is “0”');
    expect(() => parseCells(`${header}\na,b,TP1,FP8,1.5,10,5\n`)).toThrow('isl');
    expect(() => parseCells(`${header}\na,b,TP1,FP8,10,10,fast\n`)).toThrow('out_tok_s_per_gpu');
  });
});

describe('createDeploymentFinder', () => {
  const find = createDeploymentFinder(catalog);
  const sizes = (parallel: string) => {
    const found = find(cell({ parallel }));
    return 'deployment' in found ? Object.values(found.deployment.parallelism) : found.reason;
  };

  it('reads how a model is divided: tensor, attention ranks, experts, pipeline', () => {
    expect(sizes('TP2')).toEqual([2, 1, 1, 1]);
    expect(sizes('DEP8')).toEqual([1, 8, 8, 1]);
    expect(sizes('TEP4')).toEqual([4, 1, 4, 1]);
    expect(sizes('EP8')).toEqual([8, 1, 8, 1]);
    expect(sizes('TP4, PP2')).toEqual([4, 1, 1, 2]);
    expect(sizes('TP4/EP4')).toEqual([4, 1, 4, 1]);
    expect(sizes('TP')).toContain('parallel is “TP”');
    expect(sizes('TP0')).toContain('parallel');
    expect(sizes('2xTP4')).toContain('parallel');
  });

  it('knows the models and accelerators of such tables by their short names', () => {
    for (const model of ['Llama-4-Maverick', 'DeepSeek-R1-0528', 'Llama-3.3-70B', 'Qwen3-30B-A3B', 'gpt-oss-120b']) {
      expect('deployment' in find(cell({ model })), model).toBe(true);
    }
    for (const gpu of ['H100', 'H200', 'B200', 'GB200', 'RTX 6000 Pro Blackwell Server Edition', 'H200 141GB'])
      expect('deployment' in find(cell({ gpu })), gpu).toBe(true);
  });
});

describe('work at full load', () => {
  const deployment = (() => {
    const found = createDeploymentFinder(catalog)(cell({ model: 'Llama-3.3-70B', gpu: 'H200', parallel: 'TP2' }));
    if (!('deployment' in found)) throw new Error(found.reason);
    return found.deployment;
  })();
  const work = (promptTokens: number, outputTokens: number) => {
    const shape = { promptTokens, outputTokens };
    return workPerTokenUs(
      correctedCoefficients(
        slopesOf(deployment, shape),
        PARTS.map(() => 1),
      ),
      shape,
    );
  };

  it('grows faster than any fixed weights of input and output', () => {
    expect(work(2_000, 1_000)).toBeGreaterThan(work(1_000, 1_000));
    // Per output token: longer contexts are read, and fewer sequences share a step.
    expect(work(1_000, 16_000)).toBeGreaterThan(1.3 * work(1_000, 8_000));
  });
});
