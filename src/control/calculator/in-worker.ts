import { Worker } from 'node:worker_threads';
import type { Catalog } from '../../catalog/schema.ts';
import { CubitError, type ErrorCode, type ErrorDetails } from '../../core/errors.ts';
import type { CalculatorAnswer, CalculatorQuestion } from './schemas.ts';

export interface WorkerJob {
  readonly catalog: Catalog;
  readonly servedTemplates: ReadonlySet<string>;
  readonly question: CalculatorQuestion;
}

export type WorkerReply =
  | { readonly answer: CalculatorAnswer }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } };

/** A machine's cores are for engines: one simulation at a time, and not for longer than a caller waits. */
const RUNNING_MAX = 1;
const ANSWER_MS_MAX = 50_000;

let running = 0;

/** Throws what answering throws, and `capacity_exhausted` when another is being simulated or this one takes too long. */
export async function answerInWorker(job: WorkerJob): Promise<CalculatorAnswer> {
  if (running >= RUNNING_MAX) {
    throw new CubitError('capacity_exhausted', 'Another trace is being simulated. Ask again in a few seconds.');
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
    const late = `The simulation did not end within ${ANSWER_MS_MAX / 1000} s. Give a shorter trace, or ask with \`cubit calc --catalog\`.`;
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
