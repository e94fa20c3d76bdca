import type { Kysely, Transaction } from 'kysely';
import type { z } from 'zod';
import type { Catalog } from '../catalog/schema.ts';
import type { AccessPolicy } from '../core/commerce/access.ts';
import { CubitError } from '../core/errors.ts';
import type { IdKind } from '../core/ids.ts';
import type { KeyRole, MemberRole, Permission } from '../core/roles.ts';
import type { HealthView } from '../core/serving/replica-health.ts';
import type { EngineDialect } from '../engine/port.ts';
import type { Fleet } from '../fleet/port.ts';
import type { ModelFiles } from '../model-files/files.ts';
import type { Database } from '../store/schema.ts';
import type { Sender } from './delivery/message.ts';

/**
 * A verb is one thing that can be done, in a file of its own: `control/<noun>/<verb>.ts`. HTTP, OpenAPI and the CLI are
 * made from its definition; nothing about transports is known here.
 */
export interface Verb<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> {
  /** `noun.verb`, as in `cubit endpoint create`. */
  readonly name: string;
  readonly summary: string;
  /** What an actor needs to be let in. */
  readonly access: Access;
  /** Path below /api/v1; `{name}` parts are fields of the input, the rest comes from the query (GET) or the body. */
  readonly route: { readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'; readonly path: string };
  readonly input: I;
  readonly output: O;
  /** Columns of the CLI's table, for answers that are `{ items: […] }`. */
  readonly columns?: readonly string[];
  /** The answer is a `Download` (`document/download.ts`): a file over HTTP, and for the CLI. */
  readonly download?: true;
  /** The field of the answer that the CLI prints as it is: a file's text. */
  readonly prints?: string;
  /** Fields of the answer that are shown once: a replay of the same Idempotency-Key has null there. */
  readonly once?: readonly string[];
  run(args: { ctx: Ctx; input: z.output<I> }): Promise<z.output<O>>;
}

/** A permission of `core/roles.ts`, or `anyone`: what it needs is in the input, and who sends it is not asked. */
export type Access = Permission | 'anyone';

export type Actor =
  /** Without a member it is the platform's own token. */
  | { readonly kind: 'operator'; readonly memberId?: string }
  | { readonly kind: 'member'; readonly tenantId: string; readonly memberId: string; readonly role: MemberRole }
  | { readonly kind: 'key'; readonly tenantId: string; readonly keyId: string; readonly role: KeyRole }
  | { readonly kind: 'anyone' };

export type Trx = Transaction<Database>;

/** Asks a server that runs already what it is. Throws CubitError `engine_unavailable` when nothing answers. */
/** How a gateway finds a replica by the ends of its requests; null: it does not know it. */
export type HealthOf = (replicaId: string) => HealthView | null;

export type ProbeServer = (server: { readonly url: string; readonly apiKey: string | null }) => Promise<{
  readonly dialect: EngineDialect;
  readonly models: readonly string[];
  readonly ok: boolean;
  /** For people, when not ok. */
  readonly reason: string | null;
}>;

/** How this installation sells, by its configuration. */
export interface SalesPolicy {
  readonly access: AccessPolicy;
  /** Units of one template that a tenant may hold without asking; null: no limit. A template's own number goes before. */
  readonly quotaUnits: number | null;
}

export interface Ctx {
  /** For reads. Inside a transaction use its `trx` only: an embedded store has one connection. */
  readonly db: Kysely<Database>;
  readonly catalog: Catalog;
  readonly policy: SalesPolicy;
  readonly fleet: Fleet;
  readonly actor: Actor;
  readonly requestId: string;
  /** The `Idempotency-Key` that came with the request. */
  readonly idempotencyKey: string | null;
  /**
   * The one transaction of a verb that changes something. What `work` returns is the verb's answer: it is stored with
   * the Idempotency-Key in the same transaction. No network inside.
   */
  transaction<T>(work: (trx: Trx) => Promise<T>): Promise<T>;
  readonly probe: ProbeServer;
  readonly healthOf: HealthOf;
  /** Outside of transactions only, as the next. */
  readonly sender: Sender;
  readonly modelFiles: ModelFiles;
  /** Epoch milliseconds; injected, so that tests move the clock. */
  now(): number;
  newId(kind: IdKind): string;
  /** An unguessable secret, URL-safe. */
  newSecret(): string;
  /** Call after a commit that the gateway or the provisioner must see. */
  changed(): void;
}

export function defineVerb<I extends z.ZodObject, O extends z.ZodType>(verb: Verb<I, O>): Verb<I, O> {
  return verb;
}

/**
 * The tenant a verb acts for: the actor's own, or the one an operator names. Another tenant's id answers like one that
 * does not exist.
 */
export function tenantOf(ctx: Ctx, input: { tenantId?: string | undefined }): string {
  if (ctx.actor.kind === 'operator') {
    if (input.tenantId === undefined) {
      throw new CubitError('invalid_request', 'An operator has to say which tenant: add tenantId.', {
        details: { param: 'tenantId' },
      });
    }
    return input.tenantId;
  }
  const own = ownTenantOf(ctx.actor);
  if (input.tenantId !== undefined && input.tenantId !== own) {
    throw new CubitError('not_found', `There is no tenant ${input.tenantId}.`);
  }
  return own;
}

/** Of a key or a member. Throws `forbidden` for nobody in particular. */
export function ownTenantOf(actor: Exclude<Actor, { kind: 'operator' }>): string {
  if (actor.kind === 'anyone') throw new CubitError('forbidden', 'This is for members and keys of a tenant.');
  return actor.tenantId;
}
