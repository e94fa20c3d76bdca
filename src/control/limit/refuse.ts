import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notify } from '../../store/notices.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Note } from './approve.ts';
import { decide, LimitRequest, limitRequestView } from './limits.ts';

export const limitRefuse = defineVerb({
  name: 'limit.refuse',
  summary: 'Refuse a request for limits. Those that hold stay.',
  access: 'operate',
  route: { method: 'POST', path: '/limit-requests/{requestId}/refuse' },
  input: z.strictObject({ requestId: Id, note: Note.describe('To the tenant: why') }),
  output: LimitRequest,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const atMs = ctx.now();
      const { requestId, note } = input;
      const row = await decide(trx, requestId, { state: 'refused', note, decided_at_ms: atMs });
      const { tenant_id: tenantId, model_id: modelId } = row;
      const detail = { modelId, state: row.state, note };
      await notify(trx, ctx, { tenantId, kind: 'limit_decided', subject: requestId, dueAtMs: atMs, detail });
      await audit(trx, ctx, { verb: 'limit.refuse', subject: requestId, tenantId, detail });
      return limitRequestView(row);
    });
  },
});
