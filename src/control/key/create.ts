import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { requireTenant } from '../internal.ts';
import { sha256Hex } from '../operator-token.ts';
import { Name, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Key, keyView, Labels, labelsWith, Scope } from './schemas.ts';

const PREFIX = 'sk-cubit-';
const HINT_SIGNS = PREFIX.length + 4;

export const keyCreate = defineVerb({
  name: 'key.create',
  summary: 'Make an API key. The answer shows it this once; only its hash is stored.',
  access: 'manage',
  route: { method: 'POST', path: '/keys' },
  input: z.strictObject({
    tenantId: TenantId,
    name: Name,
    scope: Scope.default('inference'),
    label: Labels.optional(),
  }),
  output: Key.extend({ key: z.string().nullable().describe('The key itself; null when the answer is a replay') }),
  once: ['key'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const key = `${PREFIX}${ctx.newSecret()}`;
    const answer = await ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      const row = {
        id: ctx.newId('key'),
        tenant_id: tenantId,
        name: input.name,
        hash: sha256Hex(key),
        hint: key.slice(0, HINT_SIGNS),
        scope: input.scope,
        created_at_ms: ctx.now(),
        revoked_at_ms: null,
        labels_json: JSON.stringify(labelsWith({}, input)),
      };
      await trx.insertInto('api_keys').values(row).execute();
      await audit(trx, ctx, {
        verb: 'key.create',
        subject: row.id,
        tenantId,
        detail: { name: row.name, scope: row.scope, hint: row.hint },
      });
      return { ...keyView(row), key };
    });
    ctx.changed();
    return answer;
  },
});
