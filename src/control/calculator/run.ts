import { defineVerb } from '../verb.ts';
import { answerQuestion } from './answer.ts';
import { answerInWorker } from './in-worker.ts';
import { recordedUsage } from './recorded.ts';
import { CalculatorAnswer, CalculatorInput } from './schemas.ts';

export const calculatorRun = defineVerb({
  name: 'calculator.run',
  summary: 'Units a traffic needs, their latency and cost, for every template and tier of a model.',
  access: 'read',
  route: { method: 'POST', path: '/calculator' },
  input: CalculatorInput,
  output: CalculatorAnswer,
  async run({ ctx, input }) {
    const { catalog, fleet } = ctx;
    const servedHere = (templateId: string) => fleet.serves(templateId);
    const recorded = input.endpointId === undefined ? null : await recordedUsage(ctx, input, input.endpointId);
    if (input.trace !== undefined) {
      const servedTemplates = new Set([...catalog.templates.keys()].filter(servedHere));
      return answerInWorker({ catalog, servedTemplates, question: input });
    }
    if (recorded === null) return answerQuestion({ catalog, servedHere, recorded }, input);
    const { modelId, newestOnly, rows } = recorded;
    const answer = answerQuestion({ catalog, servedHere, recorded: rows }, { ...input, modelId });
    const newest = `the newest ${rows.length} requests were taken`;
    return newestOnly ? { ...answer, notes: [...answer.notes, newest] } : answer;
  },
});
