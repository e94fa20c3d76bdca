import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';

/** The servers that the static fleet hands out, oldest first. With their API keys: not for answers. */
export function adoptedServers(db: Db): Promise<Row<'servers'>[]> {
  return db
    .selectFrom('servers')
    .selectAll()
    .where('removed_at_ms', 'is', null)
    .orderBy('created_at_ms')
    .orderBy('id')
    .execute();
}
