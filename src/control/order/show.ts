import { z } from 'zod';
import { requireOrder, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Order, orderView } from './schemas.ts';

export const orderShow = defineVerb({
  name: 'order.show',
  summary: 'One order.',
  access: 'read',
  route: { method: 'GET', path: '/orders/{orderId}' },
  input: z.strictObject({ orderId: Id }),
  output: Order,
  async run({ ctx, input }) {
    return orderView(await requireOrder(ctx.db, scopeOf(ctx), input.orderId));
  },
});
