import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitStepModel, predictUs, type StepObservation, type StepParameters } from './fit.ts';
import { nonNegativeLeastSquares } from './nnls.ts';

const CHUNK = 64;

function shape(cell: string, parts: Partial<StepObservation>): StepObservation {
  const zero = { requests: 0, steps: 0, prefillTokens: 0, attendedPairs: 0, decodeTokens: 0, contextTokens: 0 };
  return { cell, ...zero, mixedContextTokens: 0, us: 1, ...parts };
}

/** The first token of a prompt of n tokens, h of them cached, among `batch` running sequences. */
function firstToken(n: number, h: number, batch = 0, context = 0): StepObservation {
  const steps = Math.ceil((n - h) / CHUNK);
  return shape(`first ${n} ${h} ${batch} ${context}`, {
    requests: 1,
    steps,
    prefillTokens: n - h,
    attendedPairs: (n * n - h * h) / 2,
    decodeTokens: steps * batch,
    contextTokens: steps * batch * context,
    mixedContextTokens: steps * batch * context,
  });
}

function nextToken(batch: number, context: number): StepObservation {
  return shape(`next ${batch} ${context}`, { steps: 1, decodeTokens: batch, contextTokens: batch * context });
}

const DESIGN = [
  ...[24, 96, 250, 600, 1_100].map((n) => firstToken(n, 0)),
  firstToken(700, 640),
  firstToken(1_100, 900),
  ...[1, 2, 4, 8].flatMap((batch) => [40, 400, 1_000].map((context) => nextToken(batch, context))),
  firstToken(300, 0, 4, 50),
  firstToken(300, 0, 4, 600),
  firstToken(300, 0, 8, 300),
];

const truth = fc.record({
  prefillFixedUs: fc.double({ min: 100, max: 50_000, noNaN: true }),
  step: fc.record({
    tau0Us: fc.double({ min: 500, max: 20_000, noNaN: true }),
    tau1Us: fc.double({ min: 20, max: 12_000, noNaN: true }),
    tau2Us: fc.double({ min: 0.01, max: 5, noNaN: true }),
    tau3Us: fc.double({ min: 20, max: 20_000, noNaN: true }),
    tau4Us: fc.double({ min: 0.1, max: 30, noNaN: true }),
    tau5Us: fc.double({ min: 0.1, max: 30, noNaN: true }),
  }),
});

const measuredBy = (model: StepParameters) => DESIGN.map((one) => ({ ...one, us: predictUs(model, one) }));

describe('nonNegativeLeastSquares', () => {
  it('meets the conditions of an optimum on any system', () => {
    const entry = fc.integer({ min: -100, max: 100 }).map((value) => value / 10);
    const system = fc.integer({ min: 1, max: 5 }).chain((columns) =>
      fc.record({
        rows: fc.array(fc.array(entry, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 12 }),
        seed: fc.array(entry, { minLength: 12, maxLength: 12 }),
      }),
    );
    fc.assert(
      fc.property(system, ({ rows, seed }) => {
        const b = rows.map((_, at) => seed[at] as number);
        const x = nonNegativeLeastSquares(rows, b);
        const residual = rows.map((row, at) => (b[at] as number) - row.reduce((sum, a, j) => sum + a * x[j]!, 0));
        x.forEach((value, column) => {
          const norm = Math.hypot(...rows.map((row) => row[column]!)) || 1;
          const slope = rows.reduce((sum, row, at) => sum + row[column]! * residual[at]!, 0) / norm;
          expect(value).toBeGreaterThanOrEqual(0);
          // Growing never helps; where it is above 0, shrinking does not either.
          expect(slope).toBeLessThan(1e-3);
          if (value * norm > 1e-3) expect(Math.abs(slope)).toBeLessThan(1e-3);
        });
      }),
    );
  });

  it('gives 0 to a column without entries, and to one that only a negative figure would suit', () => {
    const rows = [
      [1, 0, 1],
      [2, 0, 1],
      [3, 0, 1],
    ];
    const [slope, empty, offset] = nonNegativeLeastSquares(rows, [1, 3, 5]);
    expect([empty, offset]).toEqual([0, 0]);
    expect(slope).toBeCloseTo(22 / 14, 9);
  });

  it('refuses rows that do not match', () => {
    expect(() => nonNegativeLeastSquares([[1], [1, 2]], [1, 2])).toThrow('same number of columns');
  });
});

describe('fitStepModel', () => {
  it('finds any true model again from the profile’s cells', () => {
    fc.assert(
      fc.property(truth, (model) => {
        const fit = fitStepModel(measuredBy(model));
        // Every figure that matters: what it makes of each observation.
        expect(fit.medianErrorPct).toBeLessThan(0.01);
        for (const one of DESIGN) expect(predictUs(fit, one) / predictUs(model, one)).toBeCloseTo(1, 3);
        expect(fit.step.tau1Us / model.step.tau1Us).toBeCloseTo(1, 2);
        expect(fit.step.tau3Us / model.step.tau3Us).toBeCloseTo(1, 2);
      }),
      { numRuns: 60 },
    );
  });

  it('is never negative, whatever was measured', () => {
    const times = fc.array(fc.double({ min: 1, max: 1e7, noNaN: true }), {
      minLength: DESIGN.length,
      maxLength: DESIGN.length,
    });
    fc.assert(
      fc.property(times, (us) => {
        const fit = fitStepModel(DESIGN.map((one, at) => ({ ...one, us: us[at]! })));
        for (const value of [fit.prefillFixedUs, ...Object.values(fit.step)]) expect(value).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 40 },
    );
  });

  const MODEL: StepParameters = {
    prefillFixedUs: 20_000,
    step: { tau0Us: 3_000, tau1Us: 12_000, tau2Us: 1.5, tau3Us: 19_000, tau4Us: 24, tau5Us: 4 },
  };

  it('is not steered by a few observations that a busy machine spoilt', () => {
    const spoilt = [...measuredBy(MODEL), ...measuredBy(MODEL), ...measuredBy(MODEL)].map((one, at) =>
      at % 10 === 3 ? { ...one, us: one.us * 4 } : one,
    );
    const fit = fitStepModel(spoilt);
    expect(fit.step.tau1Us / MODEL.step.tau1Us).toBeCloseTo(1, 1);
    expect(fit.step.tau3Us / MODEL.step.tau3Us).toBeCloseTo(1, 1);
    expect(fit.medianErrorPct).toBeLessThan(2);
  });

  it('validates on cells that the fit has not seen', () => {
    const exact = fitStepModel(measuredBy(MODEL));
    expect(exact.crossValidated?.medianErrorPct).toBeLessThan(0.1);
    // One cell that does not follow the model is seen in the validation, not only in the fit.
    const bent = measuredBy(MODEL).map((one) => (one.cell === 'next 8 1000' ? { ...one, us: one.us * 2 } : one));
    expect(fitStepModel(bent).crossValidated!.meanErrorPct).toBeGreaterThan(1);
    expect(fitStepModel([measuredBy(MODEL)[0]!]).crossValidated).toBeNull();
  });

  it('lets a prior fill in what was not measured, and yield to what was', () => {
    const prior = { ...MODEL, rows: 0.01 };
    const firsts = measuredBy(MODEL).filter(({ cell }) => cell.startsWith('first') && cell.endsWith('0 0'));
    const fit = fitStepModel(
      firsts.map((one) => ({ ...one, us: one.us * 2 })),
      { prior },
    );
    expect(fit.step.tau3Us).toBeCloseTo(MODEL.step.tau3Us, 0);
    expect(fit.step.tau1Us / MODEL.step.tau1Us).toBeGreaterThan(1.8);
  });

  it('refuses no observations and times that are none', () => {
    expect(() => fitStepModel([])).toThrow('no observations');
    for (const us of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => fitStepModel([{ ...nextToken(1, 10), us }])).toThrow('positive and finite');
    }
  });
});
