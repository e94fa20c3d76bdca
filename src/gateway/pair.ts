import { randomInt } from 'node:crypto';
import { CubitError } from '../core/errors.ts';
import { mostHeadroom } from '../core/serving/routing.ts';
import type { EngineDialect, EngineReply, EngineRequest } from '../engine/port.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import type { Replica } from './replica.ts';
import type { ServedModel } from './served.ts';
import { isFields, usageOf } from './usage.ts';
import type { Watchdog } from './watchdog.ts';

/** A request on a disaggregated template: one machine evaluates the prompt, the other goes on from its KV state. */
export interface Pair {
  readonly prefill: Replica;
  readonly decode: Replica;
}

/** Of a prefill's answer: one token and what the decode machine has to know. */
const PREFILL_BYTES_MAX = 16 * 1024 * 1024;
/** SGLang's own default. */
const BOOTSTRAP_PORT = 8998;
/** What vLLM's NIXL connector asks of a prefill; all fields have to be there. */
const GIVE = {
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
};

/** `copied`: prefill first, its parameters go into decode's call (vLLM, embedded). `at once`: both meet in a room (SGLang). */
const PROTOCOLS: Readonly<Partial<Record<EngineDialect, 'copied' | 'at once'>>> = {
  cubit: 'copied',
  vllm: 'copied',
  sglang: 'at once',
};

/**
 * The decode machine that goes with a prefill machine: of those that speak the same and have a sequence free, the one with
 * the largest share of its KV cache free. null when none is left.
 */
export function decodeFor(
  prefill: Replica,
  { decodeReplicas, snapshot }: ServedModel,
  { sequences }: Estimated,
  excluded: ReadonlySet<string>,
): Replica | null {
  const able = decodeReplicas.filter((one) => one.dialect === prefill.dialect && !excluded.has(one.replicaId));
  const free = able.filter(({ running }) => running === 0 || running + sequences <= snapshot.batchPerUnit);
  const kvTokens = snapshot.kvTokensPerUnit;
  const machines = (free.length > 0 ? free : able).map((replica) => ({
    replica,
    kvTokensReserved: replica.kvTokensReserved,
    kvTokens,
  }));
  return mostHeadroom(machines)?.replica ?? null;
}

/**
 * Sends a request to both machines of a pair; resolves with the answer of decode. `prefillOver` is called when the prefill
 * machine has done its part. `exchange.replicaId` says which of them is at work, so that a failure is that one's. Throws
 * what either engine throws, `engine_failed`, `unsupported_feature`.
 */
export async function sendToPair(
  pair: Pair,
  exchange: Exchange,
  request: EngineRequest,
  watchdog: Watchdog,
  prefillOver: () => void,
): Promise<EngineReply> {
  const { prefill, decode } = pair;
  refuseSeveral(request);
  const protocol = PROTOCOLS[prefill.dialect];
  if (protocol === undefined) {
    throw new CubitError('engine_failed', `${prefill.dialect} servers have no way to hand a KV state over.`);
  }
  if (protocol === 'at once') return sendAtOnce(pair, exchange, request, watchdog, prefillOver);
  exchange.replicaId = prefill.replicaId;
  const kv_transfer_params = await prefillOf(prefill, exchange, request, watchdog);
  prefillOver();
  exchange.replicaId = decode.replicaId;
  return decode.engine.send({ ...request, transfer: { kv_transfer_params } }, watchdog);
}

/** Evaluates the prompt; returns the parameters that decode needs, as they came. */
async function prefillOf(
  prefill: Replica,
  exchange: Exchange,
  request: EngineRequest,
  watchdog: Watchdog,
): Promise<unknown> {
  const { stream_options: _, min_tokens: __, ...rest } = request.body;
  const body = { ...rest, stream: false, max_tokens: 1 };
  const reply = await prefill.engine.send({ ...request, body, transfer: { kv_transfer_params: GIVE } }, watchdog);
  const answer = parsed(await textOf(reply, watchdog));
  const params = isFields(answer) ? answer['kv_transfer_params'] : undefined;
  if (!isFields(answer) || !isFields(params)) {
    throw new CubitError('engine_failed', 'The prefill machine handed no KV state over.');
  }
  exchange.prefillCachedTokens = usageOf(answer)?.cachedTokens ?? 0;
  return params;
}

/** Both get the whole request and a room to meet in; what prefill answers is read and dropped. */
async function sendAtOnce(
  { prefill, decode }: Pair,
  exchange: Exchange,
  request: EngineRequest,
  watchdog: Watchdog,
  prefillOver: () => void,
): Promise<EngineReply> {
  const transfer = {
    bootstrap_host: hostOf(prefill),
    bootstrap_port: bootstrapPortOf(prefill),
    bootstrap_room: randomInt(2 ** 47),
  };
  exchange.replicaId = decode.replicaId;
  const asked = { ...request, transfer };
  const prefilled = prefill.engine.send(asked, watchdog).then((reply) => textOf(reply, watchdog));
  prefilled.then(prefillOver, (error: unknown) => {
    if (watchdog.aborted) return;
    // Decode would wait for a state that never comes.
    exchange.replicaId = prefill.replicaId;
    watchdog.abort(error);
  });
  return decode.engine.send(asked, watchdog);
}

/** One prompt has one KV state. */
function refuseSeveral({ body }: EngineRequest): void {
  const { n, prompt } = body;
  const several = (typeof n === 'number' && n > 1) || (Array.isArray(prompt) && prompt.length > 1 && hasLists(prompt));
  if (!several) return;
  throw new CubitError('unsupported_feature', 'This endpoint answers one prompt with one answer at a time.', {
    details: { param: typeof n === 'number' && n > 1 ? 'n' : 'prompt' },
  });
}

/** Token ids are one prompt, texts and lists of ids are several. */
function hasLists(prompt: readonly unknown[]): boolean {
  return typeof prompt[0] !== 'number';
}

async function textOf(reply: EngineReply, watchdog: Watchdog): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of reply.bytes) {
    if (watchdog.aborted) throw watchdog.reason;
    bytes += part.length;
    if (bytes > PREFILL_BYTES_MAX) throw new CubitError('engine_failed', 'The prefill machine sent too much.');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function hostOf({ address }: Replica): string {
  return address.kind === 'llama' ? 'localhost' : new URL(address.url).hostname;
}

function bootstrapPortOf({ address }: Replica): number {
  return (address.kind === 'openai-http' ? address.bootstrapPort : undefined) ?? BOOTSTRAP_PORT;
}
