import { parentPort, workerData } from 'node:worker_threads';
import { toCubitError } from '../../core/errors.ts';
import { answerQuestion } from './answer.ts';
import type { WorkerJob, WorkerReply } from './in-worker.ts';

/** One question, answered on a thread of its own: a simulation takes seconds, many lengths tenths of one, and requests must not wait for it. */
const { catalog, question, recorded, servedTemplates } = workerData as WorkerJob;

function reply(): WorkerReply {
  try {
    const servedHere = (templateId: string) => servedTemplates.has(templateId);
    return { answer: answerQuestion({ catalog, servedHere, recorded }, question) };
  } catch (error) {
    const { code, details, message } = toCubitError(error);
    return { error: { code, details, message } };
  }
}

parentPort?.postMessage(reply());
