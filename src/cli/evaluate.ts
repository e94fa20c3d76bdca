import type { Command } from 'commander';
import { addEvaluateCalculator } from './evaluate/calculator.ts';
import { addEvaluateOperators } from './evaluate/operators.ts';

/** `cubit evaluate …`: how far off the models are, on files that anyone can bring. */
export function addEvaluate(program: Command): void {
  const evaluate = program.command('evaluate').description('check predictions against measurements');
  addEvaluateCalculator(evaluate);
  addEvaluateOperators(evaluate);
}
