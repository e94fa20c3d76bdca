import { z } from 'zod';
import { parseMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { Label } from '../key/schemas.ts';
import { TenantId } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx, tenantOf } from '../verb.ts';
import { evaluate } from './evaluate.ts';
import { Budget, budgetView } from './schemas.ts';

const BUDGETS_MAX = 50;

export const budgetSet = defineVerb({
  name: 'budget.set',
  summary: 'Say what a tenant, or the keys with a label, mean to spend in a month: notices at 50, 80 and 100 %.',
  access: 'pay',
  route: { method: 'POST', path: '/budgets' },
  input: z.strictObject({
    tenantId: TenantId,
    label: Label.optional().describe('As in team=search; all that the tenant spends when left out'),
    amount: z.string().describe('In the tenant’s currency, as in 5000.00'),
    hardStop: z.boolean().default(false).describe('Stop what is paid per token (spill-over too) when it is spent'),
  }),
  output: Budget,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const amountMicros = readAmount(input.amount);
    return ctx.transaction(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const label = input.label ?? '';
      const wanted = { amountMicros, hardStop: input.hardStop ? 1 : 0 };
      const id = await write(trx, ctx, { tenantId, label, ...wanted });
      // Counted now, so that the answer says where it stands; thresholds that are passed already are told.
      const rows = await evaluate(trx, ctx, tenant, { atMs: ctx.now(), budgetId: id });
      const detail = { label, amountMicros, hardStop: input.hardStop };
      await audit(trx, ctx, { verb: 'budget.set', subject: id, tenantId, detail });
      return budgetView(rows[0]!, tenant.currency);
    });
  },
});

function readAmount(text: string): bigint {
  const micros = parseMicros(text);
  if (micros <= 0n) throw invalidField('amount', 'has to be more than nothing');
  return micros;
}

interface Wanted {
  readonly tenantId: string;
  readonly label: string;
  readonly amountMicros: bigint;
  readonly hardStop: number;
}

async function write(trx: Trx, ctx: Ctx, { tenantId, label, amountMicros, hardStop }: Wanted): Promise<string> {
  const own = trx.selectFrom('budgets').where('tenant_id', '=', tenantId);
  const before = await own.selectAll().where('label', '=', label).executeTakeFirst();
  if (before !== undefined) {
    const anew: Partial<Row<'budgets'>> = before.amount_micros === amountMicros ? {} : { told_percent: 0 };
    await trx
      .updateTable('budgets')
      .set({ amount_micros: amountMicros, hard_stop: hardStop, ...anew })
      .where('id', '=', before.id)
      .execute();
    return before.id;
  }
  const { n } = await own.select((eb) => eb.fn.countAll<number>().as('n')).executeTakeFirstOrThrow();
  if (n >= BUDGETS_MAX)
    throw new CubitError('conflict', `A tenant has at most ${BUDGETS_MAX} budgets; remove one first.`);
  const id = ctx.newId('budget');
  const nowMs = ctx.now();
  await trx
    .insertInto('budgets')
    .values({
      id,
      tenant_id: tenantId,
      label,
      amount_micros: amountMicros,
      hard_stop: hardStop,
      created_at_ms: nowMs,
      month: '',
      spent_micros: 0n,
      spent_to_ms: nowMs,
      settled_micros: 0n,
      settled_to_ms: 0,
      told_percent: 0,
      next_due_ms: nowMs,
    })
    .execute();
  return id;
}
