import { randomBytes } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { z } from 'zod';
import type { Catalog } from '../catalog/schema.ts';
import { formatId, formatIdAt, ID_BYTES, type IdKind } from '../core/ids.ts';
import type { Fleet } from '../fleet/port.ts';
import type { ModelFiles } from '../model-files/files.ts';
import type { Database } from '../store/schema.ts';
import type { Sender } from './delivery/message.ts';
import { Idempotency, Replay } from './idempotency.ts';
import { readInput } from './input.ts';
import { toJson } from './json.ts';
import { checkAccess } from './permission.ts';
import type { Actor, Ctx, HealthOf, ProbeServer, SalesPolicy, Verb } from './verb.ts';

/** A pino logger fits. */
export interface ControlLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What the control plane is made of; `main.ts` builds it. */
export interface ControlDeps {
  readonly db: Kysely<Database>;
  readonly catalog: Catalog;
  readonly policy: SalesPolicy;
  readonly fleet: Fleet;
  readonly operatorToken: string;
  readonly probe: ProbeServer;
  readonly sender: Sender;
  /** How the gateway beside it finds a replica. */
  readonly healthOf?: HealthOf;
  readonly modelFiles: ModelFiles;
  readonly log: ControlLog;
  /** Epoch milliseconds, whole. */
  now(): number;
  /** Random ids unless told otherwise. */
  newId?(kind: IdKind): string;
  /** Tells the provisioner and the snapshot publisher that the database says something new. */
  changed(): void;
}

export interface Call {
  readonly actor: Actor;
  readonly input: unknown;
  readonly idempotencyKey?: string | null;
  readonly requestId?: string;
}

export interface Answer {
  readonly json: string;
  /** True when the same Idempotency-Key brought it before. */
  readonly replayed: boolean;
}

/** Random ids, of the shape that core/ids.ts gives them; records' begin with the time. */
export function newId(kind: IdKind): string {
  return formatIdAt(kind, randomBytes(ID_BYTES), Date.now());
}

const IDS_AT_ONCE = 256;

/** `newId` for many of one kind: asking the system for random bytes costs more than all the rest of an id. */
export function idsOf(kind: IdKind): () => string {
  let random: Uint8Array = new Uint8Array(0);
  let used = 0;
  return () => {
    if (used === random.length) {
      random = randomBytes(ID_BYTES * IDS_AT_ONCE);
      used = 0;
    }
    used += ID_BYTES;
    return formatId(kind, random.subarray(used - ID_BYTES, used));
  };
}

/**
 * Runs a verb as HTTP would: right, input, Idempotency-Key. The value is what a client of the API reads from the JSON
 * body, so big numbers are decimal strings here too. Throws CubitError.
 */
export async function callVerb<I extends z.ZodObject, O extends z.ZodType>(
  deps: ControlDeps,
  verb: Verb<I, O>,
  call: Call & { readonly input: z.input<I> },
): Promise<z.output<O>> {
  const { json } = await answerVerb(deps, verb as unknown as Verb, call);
  return JSON.parse(json) as z.output<O>;
}

/** The same, with the answer as JSON text. */
export async function answerVerb(deps: ControlDeps, verb: Verb, call: Call): Promise<Answer> {
  checkAccess(verb.access, call.actor);
  const input = readInput(verb, call.input);
  const key = verb.route.method === 'POST' ? (call.idempotencyKey ?? null) : null;
  const idempotency = key === null ? null : new Idempotency(verb, call.actor, key, input);
  const earlier = await idempotency?.find(deps.db);
  if (typeof earlier === 'string') return { json: earlier, replayed: true };
  try {
    const ctx = contextOf(deps, verb, call, key, idempotency);
    return { json: toJson(verb.output.parse(await verb.run({ ctx, input }))), replayed: false };
  } catch (error) {
    if (error instanceof Replay) return { json: error.json, replayed: true };
    throw error;
  }
}

function contextOf(
  deps: ControlDeps,
  verb: Verb,
  call: Call,
  idempotencyKey: string | null,
  idempotency: Idempotency | null,
): Ctx {
  const { db, catalog, policy, fleet, modelFiles, probe, sender } = deps;
  const makeId = (kind: IdKind) => deps.newId?.(kind) ?? newId(kind);
  return {
    db,
    catalog,
    policy,
    fleet,
    probe,
    sender,
    healthOf: (replicaId) => deps.healthOf?.(replicaId) ?? null,
    modelFiles,
    actor: call.actor,
    requestId: call.requestId ?? makeId('request'),
    idempotencyKey,
    transaction: (work) =>
      db.transaction().execute(async (trx) => {
        const earlier = await idempotency?.find(trx);
        if (typeof earlier === 'string') throw new Replay(earlier);
        const answer = await work(trx);
        await idempotency?.keep(trx, verb.output.parse(answer), deps.now());
        return answer;
      }),
    now: () => deps.now(),
    newId: makeId,
    newSecret: () => randomBytes(32).toString('base64url'),
    changed: () => deps.changed(),
  };
}
