import { CubitError } from '../core/errors.ts';
import { totalUs } from '../core/serving/work.ts';
import type { EngineReply } from '../engine/port.ts';
import { account, type Delivery, receiptHeaders, receiptOf } from './delivery.ts';
import { sendJson } from './respond.ts';
import { finishReasonOf, isFields, statedUsage, usageFrom, usageOf } from './usage.ts';
import type { Watchdog } from './watchdog.ts';

/** Step 7 for answers that are one JSON document. Throws `engine_failed` when the engine sends anything else. */
export async function answerReply(delivery: Delivery, reply: EngineReply, watchdog: Watchdog): Promise<void> {
  if (reply.stream) throw new CubitError('engine_failed', 'The engine answered with a stream that nobody asked for.');
  const { exchange, estimated, limits } = delivery;
  const bytes = await collect(reply.bytes, limits.answerBytesMax, watchdog);
  const document = toDocument(bytes, exchange.kind === 'embedding' ? 'data' : 'choices');
  const stated = usageOf(document);
  exchange.cause = finishReasonOf(document) ?? 'complete';
  // Without usage, what was reserved is the best that is known.
  account(delivery, stated ?? estimated.tokens, stated !== null);
  const usage = isFields(document['usage']) ? statedUsage(document['usage'], exchange) : usageFrom(exchange.tokens);
  // Machines talk to each other in it.
  delete document['kv_transfer_params'];
  const headers = { ...receiptHeaders(exchange, estimated), 'x-cubit-work-actual-us': totalUs(exchange.actual) };
  document['usage'] = { ...usage, cubit: receiptOf(delivery) };
  sendJson(exchange.res, 200, document, headers);
}

async function collect(parts: AsyncIterable<Uint8Array>, bytesMax: number, watchdog: Watchdog): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of parts) {
    if (watchdog.aborted) throw watchdog.reason;
    size += chunk.length;
    if (size > bytesMax) throw new CubitError('engine_failed', 'The engine sent an answer that is too large.');
    chunks.push(chunk);
  }
  return chunks.length === 1
    ? Buffer.from((chunks[0] as Uint8Array).buffer, chunks[0]?.byteOffset, size)
    : Buffer.concat(chunks, size);
}

function toDocument(bytes: Buffer, list: 'choices' | 'data'): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    // The parser's own error quotes the answer, which is not for the log.
    throw new CubitError('engine_failed', 'The engine sent an answer that is not JSON.');
  }
  if (isFields(document) && Array.isArray(document[list]) && document[list].length > 0) return document;
  throw new CubitError('engine_failed', `The engine sent an answer without ${list}.`);
}
