import { CubitError } from '../core/errors.ts';
import type { Db } from './internal.ts';
import { canonicalJson, toJson } from './json.ts';
import { sha256Hex } from './operator-token.ts';
import type { Actor, Trx, Verb } from './verb.ts';

const KEY_SIGNS_MAX = 200;
/** How long an answer is kept for replays. */
export const KEPT_MS = 30 * 86_400_000;

/** Thrown inside a transaction to leave it when the same request has been answered before. */
export class Replay extends Error {
  readonly json: string;

  constructor(json: string) {
    super('answered before');
    this.json = json;
  }
}

/** Answers of one `Idempotency-Key`. Keys of the platform's own token, of a tenant's API keys and of each member are apart. */
export class Idempotency {
  readonly #verb: Verb;
  readonly #key: string;
  readonly #owner: string;
  readonly #requestHash: string;

  constructor(verb: Verb, actor: Actor, key: string, input: unknown) {
    this.#verb = verb;
    this.#key = checkedKey(key);
    this.#requestHash = sha256Hex(canonicalJson({ verb: verb.name, input }));
    this.#owner = ownerOf(actor, this.#requestHash);
  }

  /** The stored answer, or null. Throws `idempotency_conflict` when the key was used for another request. */
  async find(db: Db): Promise<string | null> {
    const row = await db
      .selectFrom('idempotency')
      .select(['request_hash', 'response_json'])
      .where('tenant_id', '=', this.#owner)
      .where('key', '=', this.#key)
      .executeTakeFirst();
    if (row === undefined) return null;
    if (row.request_hash === this.#requestHash) return row.response_json;
    throw new CubitError(
      'idempotency_conflict',
      'This Idempotency-Key was used for another request. Send a new key with a new request.',
      { details: { idempotencyKey: this.#key } },
    );
  }

  /** Stores the answer. Throws Replay when another call with the same key was faster. */
  async keep(trx: Trx, answer: unknown, nowMs: number): Promise<void> {
    await trx
      .deleteFrom('idempotency')
      .where('tenant_id', '=', this.#owner)
      .where('created_at_ms', '<', nowMs - KEPT_MS)
      .execute();
    const inserted = await trx
      .insertInto('idempotency')
      .values({
        tenant_id: this.#owner,
        key: this.#key,
        verb: this.#verb.name,
        request_hash: this.#requestHash,
        response_json: toJson(this.#withoutSecrets(answer)),
        created_at_ms: nowMs,
      })
      .onConflict((conflict) => conflict.columns(['tenant_id', 'key']).doNothing())
      .returning('key')
      .executeTakeFirst();
    if (inserted !== undefined) return;
    const earlier = await this.find(trx);
    if (earlier !== null) throw new Replay(earlier);
  }

  /** What is shown once is never stored. */
  #withoutSecrets(answer: unknown): unknown {
    const once = this.#verb.once ?? [];
    if (once.length === 0 || answer === null || typeof answer !== 'object') return answer;
    return { ...answer, ...Object.fromEntries(once.map((field) => [field, null])) };
  }
}

function ownerOf(actor: Actor, requestHash: string): string {
  switch (actor.kind) {
    case 'operator':
      return actor.memberId ?? 'operator';
    case 'member':
      return actor.memberId;
    case 'key':
      return actor.tenantId;
    case 'anyone':
      // Strangers do not meet on a key.
      return requestHash;
  }
}

function checkedKey(key: string): string {
  if (key.length >= 1 && key.length <= KEY_SIGNS_MAX) return key;
  throw new CubitError('invalid_request', `Idempotency-Key: 1 to ${KEY_SIGNS_MAX} signs.`, {
    details: { faults: [{ field: 'Idempotency-Key', message: `1 to ${KEY_SIGNS_MAX} signs` }] },
  });
}
