import { stripVTControlCharacters } from 'node:util';
import type { Profile } from '../catalog/schema.ts';
import { cellId } from './cells.ts';

/** A profile as text: the step model, how well it fits, the tiers, the cells. */
export function profileTable(profile: Profile): string {
  const { fit, prefillFixedUs, ratedAt, step } = profile;
  const ms = (us: number) => `${Number((us / 1000).toPrecision(3))} ms`;
  const us = (value: number) => `${Number(value.toPrecision(3))} µs`;
  const parts = grid([
    ['a request', ms(prefillFixedUs), 'once, with its first chunk'],
    ['a step', ms(step.tau0Us), ''],
    ['a prompt token', ms(step.tau1Us), ''],
    ['a pair that it attends', us(step.tau2Us), ''],
    ['a sequence that decodes', ms(step.tau3Us), ''],
    ['a context token that it reads', us(step.tau4Us), step.tau5Us > 0 ? `+ ${us(step.tau5Us)} beside a prefill` : ''],
  ]);
  const validated =
    fit.crossValidatedMedianErrorPct === null
      ? ''
      : `; left out and predicted: median ${fit.crossValidatedMedianErrorPct} %, mean ${fit.crossValidatedMeanErrorPct} %`;
  const tiers = grid([
    ['k', 'batch', 'rated tokens/s', 'TTFT p50', 'p95', 'TPOT p50', 'p95', ''],
    ...profile.tiers.map((tier) => [
      String(tier.coefficient),
      String(tier.batch),
      show(tier.ratedTokensPerS),
      show(tier.ttftMs?.p50),
      show(tier.ttftMs?.p95),
      show(tier.tpotMs?.p50),
      show(tier.tpotMs?.p95),
      tier.found ?? '',
    ]),
  ]);
  const cells = grid([
    ['measured (ms)', '×', 'TTFT', 'fitted', 'next token', 'fitted'],
    ...profile.cells.map((cell) => [
      cellId(cell.cell),
      String(cell.repeats),
      show(cell.ttftMs),
      show(cell.fittedTtftMs),
      show(cell.itlMs),
      show(cell.fittedItlMs),
    ]),
  ]);
  return [
    `${profile.templateId} on ${profile.on}`,
    '',
    cells,
    '',
    'The time of a step is the sum of',
    parts,
    `fitted to ${fit.observations} observations: median error ${fit.medianErrorPct} %, mean ${fit.meanErrorPct} %${validated}`,
    '',
    `Tiers, at ${ratedAt.promptTokens} tokens in, ${ratedAt.outputTokens} out; latencies in ms at a load of rated ÷ k`,
    tiers,
  ].join('\n');
}

function show(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : String(Number(value.toPrecision(4)));
}

/** The first column left, the others right. */
function grid(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))));
  return rows
    .map((row) =>
      row
        .map((text, column) => {
          const space = ' '.repeat(widths[column]! - width(text));
          return column === 0 ? text + space : space + text;
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n');
}

const width = (text: string) => stripVTControlCharacters(text).length;
