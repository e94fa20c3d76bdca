import { z } from 'zod';
import type { KeyRole } from '../../core/roles.ts';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Name, TenantId } from '../schemas.ts';
import { KEY_PREFIX, makeSecret } from '../secret.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Key, keyView, Labels, labelsWith, limitColumns, optionalLimits, Role, Scope } from './schemas.ts';

export const keyCreate = defineVerb({
  name: 'key.create',
  summary: 'Make an API key with a role not above yours. The answer shows it this once; only its hash is stored.',
  access: 'manage_keys',
  route: { method: 'POST', path: '/keys' },
  input: z.strictObject({
    tenantId: TenantId,
    name: Name,
    role: Role.optional().describe('What it may do; inference when neither role nor scope is said'),
    scope: Scope.optional(),
    label: Labels.optional(),
    ...optionalLimits,
  }),
  output: Key.extend({ key: z.string().nullable().describe('The key itself; null when the answer is a replay') }),
  once: ['key'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const role = roleFor(input);
    requireCover(ctx.actor, role);
    const { secret: key, hash, hint } = makeSecret(ctx, KEY_PREFIX);
    const answer = await ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      const row = {
        id: ctx.newId('key'),
        tenant_id: tenantId,
        name: input.name,
        hash,
        hint,
        scope: formerScopeOf(role),
        role,
        created_at_ms: ctx.now(),
        revoked_at_ms: null,
        labels_json: JSON.stringify(labelsWith({}, input)),
        ...limitColumns(input),
      };
      const made = await trx.insertInto('api_keys').values(row).returningAll().executeTakeFirstOrThrow();
      await audit(trx, ctx, {
        verb: 'key.create',
        subject: row.id,
        tenantId,
        detail: { name: row.name, role, hint },
      });
      return { ...keyView(made), key };
    });
    ctx.changed();
    return answer;
  },
});

function roleFor({ role, scope }: { role?: KeyRole | undefined; scope?: 'inference' | 'manage' | undefined }): KeyRole {
  const wanted = role ?? (scope === 'manage' ? 'admin' : 'inference');
  if (scope !== undefined && scope !== formerScopeOf(wanted)) {
    throw invalidField('scope', `a key of the role ${wanted} has the scope ${formerScopeOf(wanted)}; leave scope out`);
  }
  return wanted;
}

function formerScopeOf(role: KeyRole): 'inference' | 'manage' {
  return role === 'inference' ? 'inference' : 'manage';
}
