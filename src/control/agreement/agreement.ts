import type { Agreement } from '../../catalog/agreements.ts';
import { currentAgreement } from '../../core/commerce/agreement.ts';
import { CubitError } from '../../core/errors.ts';
import { actorName, audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import type { Db } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';

/** The version that has to be accepted now; null: none has. */
export function agreementNow(ctx: Pick<Ctx, 'catalog' | 'now'>): Agreement | null {
  return currentAgreement(ctx.catalog.agreements, ctx.now());
}

/** A text that was changed under the same version is another one: it is looked up by its hash. */
export function acceptanceOf(
  db: Db,
  tenantId: string,
  { sha256 }: Pick<Agreement, 'sha256'>,
): Promise<Row<'agreement_acceptances'> | undefined> {
  return db
    .selectFrom('agreement_acceptances')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('sha256', '=', sha256)
    .executeTakeFirst();
}

/**
 * Whoever buys has accepted the current version before, or names it with the order and so accepts it in the same
 * transaction. Throws `agreement_required` with the version, for one that is not current too.
 */
export async function requireAgreement(
  trx: Trx,
  ctx: Ctx,
  tenantId: string,
  agreementVersion: string | undefined,
): Promise<void> {
  const current = agreementNow(ctx);
  if (agreementVersion !== undefined) {
    await accept(trx, ctx, tenantId, namedAgreement(current, agreementVersion, 'agreementVersion'));
  } else if (current !== null && (await acceptanceOf(trx, tenantId, current)) === undefined) {
    throw agreementRequired(current, 'has to be accepted first', null);
  }
}

/** The current version, when it is the one that is named. Throws `invalid_request`, `agreement_required`. */
export function namedAgreement(current: Agreement | null, version: string, field: string): Agreement {
  if (current === null) throw invalidField(field, 'there is no agreement to accept here; leave it out');
  if (current.version === version) return current;
  throw agreementRequired(current, `is the current version, not ${version}`, version);
}

/** Keeps who accepted which words, once: again changes nothing. */
export async function accept(
  trx: Trx,
  ctx: Ctx,
  tenantId: string,
  agreement: Agreement,
): Promise<Row<'agreement_acceptances'>> {
  const { version, title, validFromMs, text, sha256 } = agreement;
  const created_at_ms = ctx.now();
  await trx
    .insertInto('agreement_texts')
    .values({ sha256, version, title, valid_from_ms: validFromMs, text, created_at_ms })
    .onConflict((conflict) => conflict.column('sha256').doNothing())
    .execute();
  const row = {
    id: ctx.newId('acceptance'),
    tenant_id: tenantId,
    version,
    sha256,
    actor: actorName(ctx.actor),
    created_at_ms,
  };
  const inserted = await trx
    .insertInto('agreement_acceptances')
    .values(row)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'sha256']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (inserted === undefined) return (await acceptanceOf(trx, tenantId, agreement))!;
  await audit(trx, ctx, { verb: 'agreement.accept', subject: inserted.id, tenantId, detail: { version, sha256 } });
  return inserted;
}

function agreementRequired(current: Agreement, what: string, given: string | null): CubitError {
  const { version, title } = current;
  return new CubitError(
    'agreement_required',
    `The agreement ${version} “${title}” ${what}. Read it (cubit agreement show), then accept it (cubit agreement accept --version ${version}) or send it with the order (agreementVersion, --agreement-version).`,
    { details: { version, title, given, text: { method: 'GET', path: '/api/v1/agreement' } } },
  );
}
