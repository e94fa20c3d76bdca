import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notify } from '../../store/notices.ts';
import { Rpm, Tpm } from '../pool/schemas.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { decide, LimitRequest, limitRequestView, setLimit } from './limits.ts';

export const Note = z.string().trim().min(1).max(1000);

export const limitApprove = defineVerb({
  name: 'limit.approve',
  summary: 'Grant a request for limits, whole or other ones than asked for. They hold at once.',
  access: 'operate',
  route: { method: 'POST', path: '/limit-requests/{requestId}/approve' },
  input: z.strictObject({
    requestId: Id,
    rpm: Rpm.optional().describe('Instead of what was asked for'),
    tpm: Tpm.optional().describe('Instead of what was asked for'),
    note: Note.optional().describe('To the tenant'),
  }),
  output: LimitRequest,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const atMs = ctx.now();
      const { requestId, note = null } = input;
      const row = await decide(trx, requestId, { state: 'approved', note, decided_at_ms: atMs });
      const { tenant_id: tenantId, model_id: modelId } = row;
      const granted = { rpm: input.rpm ?? row.requests_per_minute, tpm: input.tpm ?? row.tokens_per_minute };
      await setLimit(trx, { tenantId, modelId, ...granted }, atMs);
      const detail = { modelId, state: row.state, ...granted, note };
      await notify(trx, ctx, { tenantId, kind: 'limit_decided', subject: requestId, dueAtMs: atMs, detail });
      await audit(trx, ctx, { verb: 'limit.approve', subject: requestId, tenantId, detail });
      return limitRequestView(row);
    });
    ctx.changed();
    return answer;
  },
});
