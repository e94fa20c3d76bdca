import { z } from 'zod';
import { MONEY_PATTERN, parseMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { Name, TenantId } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx, tenantOf } from '../verb.ts';
import { Upstream, upstreamView } from './schemas.ts';

const UPSTREAMS_MAX = 20;
const Price = z
  .string()
  .regex(MONEY_PATTERN, 'an amount like 2.50')
  .describe('Per million tokens, in the tenant’s currency');

export const upstreamCreate = defineVerb({
  name: 'upstream.create',
  summary: 'Name an OpenAI-compatible server that you pay, for endpoints to spill to.',
  access: 'buy',
  route: { method: 'POST', path: '/upstreams' },
  input: z.strictObject({
    tenantId: TenantId,
    name: Name,
    baseUrl: z.string().max(2000).describe('As SDKs take it, https://api.example.com/v1; on the public Internet'),
    model: z.string().min(1).max(200).describe('The model’s name there'),
    secret: z.string().min(1).max(1000).optional().describe('Its API key. Never shown again'),
    inputPrice: Price,
    cachedInputPrice: Price.optional().describe('As inputPrice when left out'),
    outputPrice: Price,
    contextTokens: z.int().min(1).max(10_000_000).default(128_000),
    outputTokensMax: z.int().min(1).max(1_000_000).default(4_096).describe('Of an answer whose request does not say'),
    concurrencyMax: z.int().min(1).max(1_000).default(64).describe('Requests at a time, of each gateway'),
  }),
  output: Upstream,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    checkUrl(ctx, input.baseUrl);
    const answer = await ctx.transaction(async (trx) => {
      const { currency } = await requireTenant(trx, tenantId);
      await checkRoom(trx, tenantId);
      const row = {
        id: ctx.newId('upstream'),
        tenant_id: tenantId,
        name: input.name,
        base_url: input.baseUrl,
        model: input.model,
        api_key: input.secret ?? null,
        input_micros: priceOf('inputPrice', input.inputPrice),
        cached_micros: priceOf('cachedInputPrice', input.cachedInputPrice ?? input.inputPrice),
        output_micros: priceOf('outputPrice', input.outputPrice),
        context_tokens: input.contextTokens,
        output_tokens_max: Math.min(input.outputTokensMax, input.contextTokens),
        concurrency_max: input.concurrencyMax,
        created_at_ms: ctx.now(),
        removed_at_ms: null,
      };
      await trx.insertInto('upstreams').values(row).execute();
      const detail = { name: row.name, model: row.model };
      await audit(trx, ctx, { verb: 'upstream.create', subject: row.id, tenantId, detail });
      return upstreamView(row, currency);
    });
    ctx.changed();
    return answer;
  },
});

function priceOf(field: string, text: string): bigint {
  const micros = parseMicros(text);
  if (micros < 0n) throw invalidField(field, 'has to be 0 or more');
  return micros;
}

/** Throws `invalid_request` for an address that is not public; a name is checked again whenever it is looked up. */
function checkUrl(ctx: Ctx, baseUrl: string): void {
  if (URL.canParse(baseUrl) && new URL(baseUrl).search !== '') throw invalidField('baseUrl', 'has to be without ?…');
  try {
    ctx.sender.checkUrl(baseUrl);
  } catch (error) {
    if (!(error instanceof CubitError)) throw error;
    throw invalidField('baseUrl', error.message.replace('A webhook is', 'It has to be'));
  }
}

async function checkRoom(trx: Trx, tenantId: string): Promise<void> {
  const live = await trx
    .selectFrom('upstreams')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('removed_at_ms', 'is', null)
    .execute();
  if (live.length < UPSTREAMS_MAX) return;
  throw new CubitError('conflict', `A tenant has at most ${UPSTREAMS_MAX} upstreams; remove one first.`);
}
