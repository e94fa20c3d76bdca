import type { Db } from './internal.ts';

/** Small facts of this installation, by name. */
export interface Facts {
  get(name: string): Promise<string | null>;
  set(name: string, value: string): Promise<void>;
}

export function factsOf(db: Db): Facts {
  return {
    async get(name) {
      const row = await db.selectFrom('facts').select('value').where('name', '=', name).executeTakeFirst();
      return row?.value ?? null;
    },
    async set(name, value) {
      await db
        .insertInto('facts')
        .values({ name, value })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
        .execute();
    },
  };
}
