import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { defineVerb } from '../verb.ts';
import { BookVersion, requireVersion, Version, versionView } from './schemas.ts';

export const priceBookWithdraw = defineVerb({
  name: 'price-book.withdraw',
  summary: 'Take back a version of the price book before it is valid. It stays in the list, its id is used up.',
  access: 'operator',
  route: { method: 'POST', path: '/price-books/{version}/withdraw' },
  input: z.strictObject({ version: Version }),
  output: BookVersion,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const nowMs = ctx.now();
      const { row, validVersion } = await requireVersion(trx, input.version, nowMs);
      const withdrawn = await trx
        .updateTable('price_books')
        .set({ withdrawn_at_ms: nowMs, next_due_ms: null })
        .where('version', '=', row.version)
        .where('withdrawn_at_ms', 'is', null)
        .where('valid_from_ms', '>', nowMs)
        .returningAll()
        .executeTakeFirst();
      if (withdrawn === undefined) {
        const why =
          row.withdrawn_at_ms === null
            ? `has been valid since ${new Date(row.valid_from_ms).toISOString()}; import one with other prices instead`
            : 'is withdrawn already';
        throw new CubitError('conflict', `Price book ${row.version} ${why}.`, { details: { version: row.version } });
      }
      await audit(trx, ctx, { verb: 'price-book.withdraw', subject: row.version, tenantId: null });
      return versionView(withdrawn, validVersion, nowMs);
    });
  },
});
