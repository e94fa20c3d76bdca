import { Worker } from 'node:worker_threads';
import { CubitError, type ErrorCode, type ErrorDetails } from '../../core/errors.ts';
import type { ElasticRule } from '../../core/serving/scaling/rule.ts';
import type { PreviewInput, PreviewOutcome } from '../../sim/rule-preview.ts';
import type { RecordedSpan } from './preview-traffic.ts';

export interface PreviewJob extends Omit<PreviewInput, 'spans'> {
  readonly spans: readonly RecordedSpan[];
  /** Text of a trace in any format, which counts instead of what was recorded; it ended at `traceToMs`. */
  readonly trace: string | null;
  readonly traceToMs: number;
  readonly rule: ElasticRule;
  readonly before: ElasticRule | null;
  readonly unitsMax: number;
}

export interface PreviewAnswer {
  readonly rule: PreviewOutcome;
  readonly before: PreviewOutcome | null;
  /** The fewest units that do as well; null: not with so many as were tried. */
  readonly fixed: { readonly units: number; readonly outcome: PreviewOutcome } | null;
  readonly metShareWanted: number;
  /** Simulated, of what it all stands for. */
  readonly simulatedMs: number;
  readonly coveredMs: number;
  readonly simulatedRequests: number;
  readonly repairs: readonly string[];
}

export type PreviewReply =
  | { readonly answer: PreviewAnswer }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } };

const ANSWER_MS_MAX = 50_000;

/** One at a time in a process: a machine's cores are for engines. */
export class PreviewThread {
  #running = false;

  /** Throws what previewing throws, and `capacity_exhausted` when another is under way or this one takes too long. */
  async run(job: PreviewJob): Promise<PreviewAnswer> {
    if (this.#running) {
      throw new CubitError('capacity_exhausted', 'Another preview is under way. Ask again in a few seconds.');
    }
    this.#running = true;
    const worker = new Worker(new URL('./preview-worker.ts', import.meta.url), { workerData: job });
    try {
      const reply = await replyOf(worker);
      if ('answer' in reply) return reply.answer;
      const { code, details, message } = reply.error;
      throw new CubitError(code, message, { details });
    } finally {
      this.#running = false;
      await worker.terminate();
    }
  }
}

function replyOf(worker: Worker): Promise<PreviewReply> {
  const { promise, reject, resolve } = Promise.withResolvers<PreviewReply>();
  const late = `The simulation did not end within ${ANSWER_MS_MAX / 1000} s. Preview with less traffic: --requests-max 2000, or fewer --hours.`;
  const timer = setTimeout(() => reject(new CubitError('capacity_exhausted', late)), ANSWER_MS_MAX);
  worker.once('message', resolve);
  worker.once('error', reject);
  return promise.finally(() => clearTimeout(timer));
}
