import { z } from 'zod';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Server, serverView } from './schemas.ts';

export const serverList = defineVerb({
  name: 'server.list',
  summary: 'Adopted servers, newest first.',
  access: 'operate',
  route: { method: 'GET', path: '/servers' },
  input: z.strictObject({
    templateId: Id.optional(),
    removed: z.boolean().default(false).describe('true: also those that were removed'),
    ...PageInput,
  }),
  output: pageOf(Server),
  columns: ['serverId', 'templateId', 'role', 'dialect', 'url', 'model'],
  async run({ ctx, input }) {
    const { templateId } = input;
    const rows = await ctx.db
      .selectFrom('servers')
      .selectAll()
      .$if(templateId !== undefined, (query) => query.where('template_id', '=', templateId ?? ''))
      .$if(!input.removed, (query) => query.where('removed_at_ms', 'is', null))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(serverView), nextCursor: page.nextCursor };
  },
});
