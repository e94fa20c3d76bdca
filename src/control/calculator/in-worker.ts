import { Worker } from 'node:worker_threads';
import type { Catalog } from '../../catalog/schema.ts';
import { CubitError, type ErrorCode, type ErrorDetails } from '../../core/errors.ts';
import type { CalculatorAnswer, CalculatorQuestion } from './schemas.ts';
import type { TraceRow } from './traffic.ts';

export interface WorkerJob {
  readonly catalog: Catalog;
  readonly servedTemplates: ReadonlySet<string>;
  readonly question: CalculatorQuestion;
  readonly recorded: readonly TraceRow[] | null;
}

export type WorkerReply =
  | { readonly answer: CalculatorAnswer }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } };

/** A machine's cores are for engines: one calculation at a time, and not for longer than a caller waits. */
const RUNNING_MAX = 1;
const ANSWER_MS_MAX = 50_000;

let running = 0;

/** Throws what answering throws, and `capacity_exhausted` when another is under way or this one takes too long. */
export async function answerInWorker(job: WorkerJob): Promise<CalculatorAnswer> {
  if (running >= RUNNING_MAX) {
    throw new CubitError('capacity_exhausted', 'Another calculation is under way. Ask again in a few seconds.');
  }
  running += 1;
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: job });
  try {
    const reply = await replyOf(worker);
    if ('answer' in reply) return reply.answer;
    const { code, details, message } = reply.error;
    throw new CubitError(code, message, { details });
  } finally {
    running -= 1;
    await worker.terminate();
  }
}

function replyOf(worker: Worker): Promise<WorkerReply> {
  return new Promise((resolve, reject) => {
    const late = `It did not end within ${ANSWER_MS_MAX / 1000} s. Give a shorter trace, or ask with \`cubit calc --catalog\`.`;
    const timer = setTimeout(() => reject(new CubitError('capacity_exhausted', late)), ANSWER_MS_MAX);
    worker.once('message', (reply: WorkerReply) => {
      clearTimeout(timer);
      resolve(reply);
    });
    worker.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
