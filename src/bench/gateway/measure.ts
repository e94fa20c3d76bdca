import type { ChildProcess } from 'node:child_process';
import type { Job, Load } from './load.ts';
import { usageOf } from './processes.ts';
import { BENCH_KEY } from './snapshot.ts';

/** One gateway (or the mock itself, `direct`) as it is asked. */
export interface Subject {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Measured extends Load {
  /** Of the gateway's process and its children. */
  readonly cpuUs: number;
  readonly rssMb: number;
}

const SILENCE_S = 300;

/** Has the load process do a job and reads what the subject took meanwhile. */
export async function measure(load: ChildProcess, subject: Subject, job: Partial<Job>): Promise<Measured> {
  const before = usageOf(subject.pid);
  const done = await runJob(load, {
    url: `${subject.url}/v1/chat/completions`,
    headers: { authorization: `Bearer ${BENCH_KEY}`, ...subject.headers },
    body: SHORT,
    connections: 64,
    seconds: SILENCE_S,
    requestsMax: Number.MAX_SAFE_INTEGER,
    tokens: 0,
    ...job,
  });
  const after = usageOf(subject.pid);
  return { ...done, cpuUs: after.cpuUs - before.cpuUs, rssMb: after.rssMb };
}

function runJob(load: ChildProcess, job: Job): Promise<Load> {
  return new Promise((resolve, reject) => {
    const onExit = () => reject(new Error('the load generator ended'));
    load.once('exit', onExit);
    load.once('message', (done: Load) => {
      load.off('exit', onExit);
      resolve(done);
    });
    load.send(job);
  });
}

/** The published recipe's request: about 0.3 KB, answered with about 0.6 KB. */
export const SHORT = JSON.stringify({
  model: 'mock-model',
  messages: [
    { role: 'system', content: 'You are a helpful assistant.' },
    { role: 'user', content: 'Say hello to the world in one sentence, please.' },
  ],
  max_tokens: 50,
  temperature: 0.7,
});

export function streamOf(tokens: number): string {
  const messages = [{ role: 'user', content: 'hi' }];
  return JSON.stringify({ model: 'mock-model', stream: true, max_tokens: tokens, messages });
}

/** A prompt of `bytes`, made of words, so that nothing about it is easy to guess or to copy. */
export function longOf(bytes: number): string {
  let text = '';
  for (let n = 0; text.length < bytes; n = (n * 1_103_515_245 + 12_345) % 2 ** 31) text += `${(n + 7).toString(36)} `;
  return JSON.stringify({
    model: 'mock-model',
    messages: [{ role: 'user', content: text.slice(0, bytes) }],
    max_tokens: 50,
  });
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => round(sorted[index] ?? Number.NaN);
  const middle = (sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN);
  return { min: at(0), median: round(middle / 2), max: at(sorted.length - 1) };
}

export function round(value: number): number {
  return Number(value.toPrecision(4));
}
