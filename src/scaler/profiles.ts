import { type Kysely, sql } from 'kysely';
import type { WeekProfile } from '../core/serving/scaling/forecast.ts';
import { insertAll } from '../store/bulk.ts';
import type { Database } from '../store/schema.ts';

/** Groups asked for in one statement. */
const READ_MAX = 1_000;

export interface LearnedProfile {
  readonly groupId: string;
  readonly profile: WeekProfile;
}

/** What was learned of groups before this process began, as far as anything was. */
export async function readProfiles(
  db: Kysely<Database>,
  groupIds: readonly string[],
): Promise<ReadonlyMap<string, WeekProfile>> {
  const profiles = new Map<string, WeekProfile>();
  for (let i = 0; i < groupIds.length; i += READ_MAX) {
    const rows = await db
      .selectFrom('load_profiles')
      .select(['group_id', 'profile_json'])
      .where('group_id', 'in', groupIds.slice(i, i + READ_MAX))
      .execute();
    for (const row of rows) profiles.set(row.group_id, { load: JSON.parse(row.profile_json) as number[] });
  }
  return profiles;
}

export async function saveProfiles(
  db: Kysely<Database>,
  learned: readonly LearnedProfile[],
  nowMs: number,
): Promise<void> {
  if (learned.length === 0) return;
  const rows = learned.map(({ groupId, profile }) => ({
    group_id: groupId,
    profile_json: JSON.stringify(profile.load),
    learned_at_ms: nowMs,
  }));
  const replace = sql`on conflict (group_id) do update set profile_json = excluded.profile_json, learned_at_ms = excluded.learned_at_ms`;
  await db.transaction().execute((trx) => insertAll(trx, 'load_profiles', rows, replace));
}
