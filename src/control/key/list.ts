import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Key, keyView } from './schemas.ts';

export const keyList = defineVerb({
  name: 'key.list',
  summary: 'API keys, newest first, revoked ones included.',
  access: 'manage_keys',
  route: { method: 'GET', path: '/keys' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Key),
  columns: [
    'keyId',
    'hint',
    'role',
    'revokedAtMs',
    'name',
    'labels',
    'weight',
    'rpm',
    'tpm',
    'unitSecondsPerMinute',
    'concurrency',
  ],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('api_keys')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(keyView), nextCursor: page.nextCursor };
  },
});
