import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { notFound, scopeOf } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Id, Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Key, keyView, Labels, LIMITS, labelsWith, limitColumns, optionalLimits } from './schemas.ts';

export const keyUpdate = defineVerb({
  name: 'key.update',
  summary: 'Rename an API key, set or take away labels (team=search), its limits and its weight among those that wait.',
  access: 'manage_keys',
  route: { method: 'POST', path: '/keys/{keyId}' },
  input: z.strictObject({
    keyId: Id,
    name: Name.optional(),
    label: Labels.optional(),
    unlabel: z.array(z.string().min(1).max(40)).max(8).optional().describe('Names of labels to take away'),
    ...optionalLimits,
    unlimit: z.array(z.enum(LIMITS)).max(LIMITS.length).optional().describe('Limits to take away'),
  }),
  output: Key,
  async run({ ctx, input }) {
    const { keyId: _, ...changes } = input;
    if (Object.values(changes).every((change) => change === undefined)) {
      throw invalidField('keyId', 'say what to change: name, label, unlabel, weight, a limit or unlimit');
    }
    const limits = { ...withoutLimits(input.unlimit ?? []), ...limitColumns(input) };
    const scope = scopeOf(ctx);
    const answer = await ctx.transaction(async (trx) => {
      const before = await trx
        .selectFrom('api_keys')
        .selectAll()
        .where('id', '=', input.keyId)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
        .executeTakeFirst();
      if (before === undefined) throw notFound('key', input.keyId);
      requireCover(ctx.actor, before.role);
      const labels = labelsWith(JSON.parse(before.labels_json) as Record<string, string>, input);
      const after = await trx
        .updateTable('api_keys')
        .set({ name: input.name ?? before.name, labels_json: JSON.stringify(labels), ...limits })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      // Budgets of labels count the month again, with the labels of now.
      await trx
        .updateTable('budgets')
        .set({ settled_micros: 0n, settled_to_ms: 0 })
        .where('tenant_id', '=', after.tenant_id)
        .where('label', '!=', '')
        .execute();
      const detail = { name: after.name, labels, ...limits };
      await audit(trx, ctx, { verb: 'key.update', subject: after.id, tenantId: after.tenant_id, detail });
      return keyView(after);
    });
    ctx.changed();
    return answer;
  },
});

const COLUMN_OF = {
  rpm: 'requests_per_minute',
  tpm: 'tokens_per_minute',
  unitSecondsPerMinute: 'work_us_per_minute',
  concurrency: 'concurrency',
} as const satisfies Record<(typeof LIMITS)[number], string>;

function withoutLimits(names: readonly (typeof LIMITS)[number][]) {
  return Object.fromEntries(names.map((name) => [COLUMN_OF[name], null]));
}
