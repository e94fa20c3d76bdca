import { catalogNow } from '../price-book/book.ts';
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
    const { fleet } = ctx;
    const catalog = await catalogNow(ctx);
    const servedHere = (templateId: string) => fleet.serves(templateId);
    const isAverages = input.trace === undefined && input.histogram === undefined && input.endpointId === undefined;
    if (isAverages && input.spread === 0) return answerQuestion({ catalog, servedHere, recorded: null }, input);
    const servedTemplates = new Set([...catalog.templates.keys()].filter(servedHere));
    const recorded = input.endpointId === undefined ? null : await recordedUsage(ctx, input, input.endpointId);
    const question = recorded === null ? input : { ...input, modelId: recorded.modelId };
    const answer = await answerInWorker({ catalog, servedTemplates, question, recorded: recorded?.rows ?? null });
    if (recorded === null || !recorded.newestOnly) return answer;
    return { ...answer, notes: [...answer.notes, `the newest ${recorded.rows.length} requests were taken`] };
  },
});
