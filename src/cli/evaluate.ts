import type { Command } from 'commander';
import { addEvaluateAdmission } from './evaluate/admission.ts';
import { addEvaluateCalculator } from './evaluate/calculator.ts';
import { addEvaluateElasticity } from './evaluate/elasticity.ts';
import { addEvaluateEngine } from './evaluate/engine.ts';
import { addEvaluateLengths } from './evaluate/lengths.ts';
import { addEvaluateOperators } from './evaluate/operators.ts';
import { addEvaluateWork } from './evaluate/work.ts';

/** `cubit evaluate …`: how far Cubit's predictions are from measurements, on files that anyone may bring. */
export function addEvaluate(program: Command): void {
  const group = program
    .command('evaluate')
    .description('how far predictions are from measurements, on public data or your own of the same format');
  addEvaluateWork(program, group);
  addEvaluateCalculator(group);
  addEvaluateEngine(program, group);
  addEvaluateLengths(program, group);
  addEvaluateOperators(group);
  addEvaluateAdmission(program, group);
  addEvaluateElasticity(program, group);
}
