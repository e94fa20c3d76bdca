import { parentPort, workerData } from 'node:worker_threads';
import { toCubitError } from '../../core/errors.ts';
import { fewestUnits, type PreviewInput, previewRule, type TrafficSpan } from '../../sim/rule-preview.ts';
import { cubitParser } from '../../workload/cubit.ts';
import { parseTrace } from '../../workload/parse.ts';
import type { PreviewAnswer, PreviewJob, PreviewReply } from './preview-thread.ts';
import type { RecordedSpan } from './preview-traffic.ts';

/** A preview on a thread of its own: simulations take seconds, and requests must not wait for them. */
const METS_WANTED_MAX = 0.99;

function answer(job: PreviewJob): PreviewAnswer {
  const { repairs, spans } = job.trace === null ? recorded(job.spans) : uploaded(job.trace, job.traceToMs);
  const input: PreviewInput = { ...job, spans };
  const rule = previewRule(input, job.rule);
  const before = job.before === null ? null : previewRule(input, job.before);
  const metShareWanted = Math.min(METS_WANTED_MAX, rule.metShare);
  return {
    rule,
    before,
    fixed: fewestUnits(input, metShareWanted, job.unitsMax),
    metShareWanted,
    simulatedMs: spans.reduce((sum, { lengthMs }) => sum + lengthMs, 0),
    coveredMs: spans.reduce((sum, { lengthMs, weight }) => sum + weight * lengthMs, 0),
    simulatedRequests: spans.reduce((sum, { requests }) => sum + requests.length, 0),
    repairs,
  };
}

interface Traffic {
  readonly spans: readonly TrafficSpan[];
  readonly repairs: readonly string[];
}

function recorded(spans: readonly RecordedSpan[]): Traffic {
  const parse = cubitParser();
  const read = spans.map(({ lines, ...span }) => ({
    ...span,
    requests: lines.flatMap((line, index) => {
      const request = parse(line, index);
      return request === null ? [] : [{ ...request, atMs: request.atMs - span.fromMs }];
    }),
  }));
  const repairs =
    parse.unknown() === 0 ? [] : [`${parse.unknown()} requests were refused: taken as long as the others`];
  return { spans: read, repairs };
}

function uploaded(text: string, toMs: number): Traffic {
  const { repairs, requests } = parseTrace(text);
  const lengthMs = Math.max(1_000, requests.at(-1)!.atMs);
  return { spans: [{ fromMs: toMs - lengthMs, lengthMs, weight: 1, warmUpMs: 0, requests }], repairs };
}

function reply(): PreviewReply {
  try {
    return { answer: answer(workerData as PreviewJob) };
  } catch (error) {
    const { code, details, message } = toCubitError(error);
    return { error: { code, details, message } };
  }
}

parentPort?.postMessage(reply());
