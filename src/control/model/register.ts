import { z } from 'zod';
import type { Architecture } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { Id, TenantId } from '../schemas.ts';
import { type Ctx, defineVerb, tenantOf } from '../verb.ts';
import { OwnModel, ownModelView } from './own.ts';

/** A tenant's own, so that disks and lists stay bounded. */
const MODELS_PER_TENANT_MAX = 200;

export const modelRegister = defineVerb({
  name: 'model.register',
  summary: 'Bring a model of your own: a LoRA adapter on a base model, or a fully fine-tuned one of its architecture.',
  access: 'manage_endpoints',
  route: { method: 'POST', path: '/own-models' },
  input: z.strictObject({
    tenantId: TenantId,
    name: z
      .string()
      .regex(/^(?!mdl-)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and . _ - between them')
      .describe('An adapter answers as ENDPOINT:NAME'),
    kind: z.enum(['lora', 'full']).default('lora'),
    baseModelId: Id.describe('The model of the catalogue that it was made from'),
    source: z
      .string()
      .min(1)
      .max(2_000)
      .describe('https URL of a GGUF file, or a path on the platform: a GGUF file, or a folder in PEFT’s layout'),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits')
      .optional()
      .describe('Needed with a URL'),
  }),
  output: OwnModel,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    await requireTenant(ctx.db, tenantId);
    await checkRoom(ctx, tenantId, input.name);
    const { kind, source, sha256 = null } = input;
    const file = await ctx.modelFiles.take({ kind, source, sha256, base: baseOf(ctx, input.baseModelId) });
    return ctx.transaction(async (trx) => {
      const row = {
        id: ctx.newId('model'),
        tenant_id: tenantId,
        name: input.name,
        kind,
        base_model_id: input.baseModelId,
        format: file.format,
        source,
        path: file.path,
        sha256: file.sha256,
        bytes: file.bytes,
        rank: file.adapter?.rank ?? null,
        alpha: file.adapter?.alpha ?? null,
        created_at_ms: ctx.now(),
        removed_at_ms: null,
      };
      const inserted = await trx
        .insertInto('own_models')
        .values(row)
        .onConflict((conflict) =>
          conflict.columns(['tenant_id', 'name']).where('removed_at_ms', 'is', null).doNothing(),
        )
        .returning('id')
        .executeTakeFirst();
      if (inserted === undefined) throw nameTaken(input.name);
      const detail = { name: input.name, kind, baseModelId: input.baseModelId, source, sha256: file.sha256 };
      await audit(trx, ctx, { verb: 'model.register', subject: row.id, tenantId, detail });
      return ownModelView(row);
    });
  },
});

/** Before anything is fetched; the unique index decides a race. */
async function checkRoom(ctx: Ctx, tenantId: string, name: string): Promise<void> {
  const own = await ctx.db
    .selectFrom('own_models')
    .select('name')
    .where('tenant_id', '=', tenantId)
    .where('removed_at_ms', 'is', null)
    .execute();
  if (own.some((row) => row.name === name)) throw nameTaken(name);
  if (own.length < MODELS_PER_TENANT_MAX) return;
  throw new CubitError('conflict', `You have ${own.length} models of your own, which is all there may be. Remove one.`);
}

function baseOf(ctx: Ctx, baseModelId: string): Architecture {
  const base = ctx.catalog.models.get(baseModelId);
  if (base === undefined) throw invalidField('baseModelId', `there is no model ${baseModelId}`);
  if (base.architecture !== undefined) return base.architecture;
  throw invalidField('baseModelId', `the catalogue has no architecture of ${baseModelId} to check a file against`);
}

function nameTaken(name: string): CubitError {
  return new CubitError('conflict', `You have a model ${name} already. Choose another name.`, {
    details: { field: 'name' },
  });
}
