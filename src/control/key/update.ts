import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { notFound, scopeOf } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Id, Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Key, keyView, Labels, labelsWith } from './schemas.ts';

export const keyUpdate = defineVerb({
  name: 'key.update',
  summary: 'Rename an API key, set labels on it (team=search) or take some away.',
  access: 'manage_keys',
  route: { method: 'POST', path: '/keys/{keyId}' },
  input: z.strictObject({
    keyId: Id,
    name: Name.optional(),
    label: Labels.optional(),
    unlabel: z.array(z.string().min(1).max(40)).max(8).optional().describe('Names of labels to take away'),
  }),
  output: Key,
  async run({ ctx, input }) {
    const { name, label, unlabel } = input;
    if (name === undefined && label === undefined && unlabel === undefined) {
      throw invalidField('keyId', 'say what to change: name, label or unlabel');
    }
    const scope = scopeOf(ctx);
    return ctx.transaction(async (trx) => {
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
        .set({ name: name ?? before.name, labels_json: JSON.stringify(labels) })
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
      const detail = { name: after.name, labels };
      await audit(trx, ctx, { verb: 'key.update', subject: after.id, tenantId: after.tenant_id, detail });
      return keyView(after);
    });
  },
});
