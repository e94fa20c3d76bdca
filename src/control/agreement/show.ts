import { z } from 'zod';
import { type Db, notFound, scopeOf } from '../internal.ts';
import { EpochMs, TenantFilter } from '../schemas.ts';
import { type Ctx, defineVerb } from '../verb.ts';
import { acceptanceOf, agreementNow } from './agreement.ts';
import { Acceptance, acceptanceView, Sha256 } from './schemas.ts';

export const agreementShow = defineVerb({
  name: 'agreement.show',
  summary: 'The agreement that has to be accepted now, or a version by name, and whether this tenant accepted it.',
  access: 'view',
  route: { method: 'GET', path: '/agreement' },
  input: z.strictObject({
    tenantId: TenantFilter,
    version: z.string().min(1).max(40).optional().describe('The current one when left out'),
  }),
  output: z.object({
    version: z.string(),
    title: z.string(),
    validFromMs: EpochMs,
    current: z.boolean(),
    sha256: Sha256,
    text: z.string().describe('Markdown'),
    acceptance: Acceptance.nullable().describe('null: not accepted, or no tenant was named'),
  }),
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const current = agreementNow(ctx);
    const wanted = input.version ?? current?.version ?? 'in force';
    const agreement = wanted === current?.version ? current : await agreementOf(ctx.db, ctx, wanted);
    const row = scope === null ? undefined : await acceptanceOf(ctx.db, scope, agreement);
    return {
      ...agreement,
      current: agreement.sha256 === current?.sha256,
      acceptance: row === undefined ? null : acceptanceView(row),
    };
  },
});

/** From the catalogue, else the words that somebody accepted under that version last. */
async function agreementOf(db: Db, ctx: Pick<Ctx, 'catalog'>, version: string) {
  const listed = ctx.catalog.agreements.find((agreement) => agreement.version === version);
  if (listed !== undefined) return listed;
  const kept = await db
    .selectFrom('agreement_texts')
    .selectAll()
    .where('version', '=', version)
    .orderBy('created_at_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (kept === undefined) throw notFound('agreement', version);
  return {
    version,
    title: kept.title,
    validFromMs: kept.valid_from_ms,
    sha256: kept.sha256,
    text: kept.text,
  };
}
