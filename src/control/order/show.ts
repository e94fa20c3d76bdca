import { z } from 'zod';
import { requireOrder, requireTenant, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Order, orderView } from './schemas.ts';

export const orderShow = defineVerb({
  name: 'order.show',
  summary: 'One order.',
  access: 'view',
  route: { method: 'GET', path: '/orders/{orderId}' },
  input: z.strictObject({ orderId: Id }),
  output: Order,
  async run({ ctx, input }) {
    const order = await requireOrder(ctx.db, scopeOf(ctx), input.orderId);
    return orderView(order, (await requireTenant(ctx.db, order.tenant_id)).currency);
  },
});
