import { z } from 'zod';
import { ACCESS_POLICIES, ACCESS_STATES, FEATURES, mayBuy } from '../../core/commerce/access.ts';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';
import type { Ctx } from '../verb.ts';
import { stateOf } from './access.ts';

export const Feature = z.enum(FEATURES);

export const Access = z.object({
  tenantId: Id,
  feature: Feature,
  mayBuy: z.boolean(),
  policy: z
    .enum(ACCESS_POLICIES)
    .describe('open: every tenant until it is revoked; by_application: none until granted'),
  state: z.enum(ACCESS_STATES).describe('What the operator decided for this tenant'),
  note: z.string().nullable().describe("The operator's words"),
  decidedAtMs: EpochMs.nullable(),
});

export function accessView(
  { policy: { access } }: Pick<Ctx, 'policy'>,
  tenantId: string,
  feature: z.output<typeof Feature>,
  row: Row<'accesses'> | undefined,
): z.output<typeof Access> {
  const state = stateOf(row);
  return {
    tenantId,
    feature,
    mayBuy: mayBuy(access, state),
    policy: access,
    state,
    note: row?.note ?? null,
    decidedAtMs: row?.updated_at_ms ?? null,
  };
}
