import { startsForRunningMs } from '../../core/commerce/price-book.ts';
import { auditAll } from '../../store/audit.ts';
import type { NewRow, Row } from '../../store/schema.ts';
import { billedToOf } from '../billing/groups.ts';
import { segmentsOf } from '../group/schemas.ts';
import { type DueColumn, eachDue, nextDueMs } from '../jobs/each.ts';
import type { Job, JobDeps } from '../jobs/job.ts';
import type { Trx } from '../verb.ts';
import { type HourlyPrice, hourlyPriceFor, type ListedPrice, lastPriceBy } from './book.ts';

/** Groups of one transaction. */
const GROUPS_MAX = 200;
const DUE: DueColumn = { table: 'price_books', id: 'version', due: 'next_due_ms', order: 'valid_from_ms' };

/**
 * Starts versions of the price book for postpaid groups that run already: at the first whole hour of their tenants'
 * clocks a segment with the new price is written. What is due is a version at an instant, first at its beginning, then at
 * each hour of a zone that comes after it (zones at :30 or :45 have their own). It reckons as of that instant, from
 * versions that are stored before they begin, so that it makes no difference how late it runs.
 */
export function pricesJob(): Job {
  return {
    name: 'prices',
    nextDueMs: ({ db }, afterMs) => nextDueMs(db, DUE, afterMs),
    async run(deps) {
      const run = await eachDue(deps, DUE, {
        handle: (trx, version, dueMs) => startVersion(trx, deps, version, dueMs),
      });
      // What comes after it would bill by prices that have ended: the turn ends here and is made up for.
      if (run.failures.length > 0) throw run.failures[0]?.error;
      return run;
    },
  };
}

type Candidate = Pick<Row<'instance_groups'>, 'id' | 'tenant_id' | 'template_id' | 'created_at_ms'> & { zone: string };

async function startVersion(trx: Trx, deps: JobDeps, version: string, dueMs: number): Promise<void> {
  const book = await trx
    .selectFrom('price_books')
    .selectAll()
    .where('version', '=', version)
    .where('next_due_ms', '=', dueMs)
    .executeTakeFirst();
  if (book === undefined) return;
  const groups = await candidates(trx, dueMs, book.done_to_group_id ?? '');
  const starting = groups.filter(({ zone }) => startsIn(book, zone) === dueMs);
  await reprice(trx, deps, starting, dueMs);
  const more = groups.length === GROUPS_MAX;
  const set = more
    ? { done_to_group_id: groups.at(-1)!.id }
    : { done_to_group_id: null, next_due_ms: await nextStartMs(trx, book, dueMs) };
  await trx.updateTable('price_books').set(set).where('version', '=', version).execute();
}

/** Postpaid groups that ran at the instant, whatever became of them since. */
function candidates(trx: Trx, atMs: number, afterId: string): Promise<Candidate[]> {
  return trx
    .selectFrom('instance_groups as g')
    .innerJoin('tenants', 'tenants.id', 'g.tenant_id')
    .select(['g.id', 'g.tenant_id', 'g.template_id', 'g.created_at_ms', 'tenants.zone'])
    .where('g.id', '>', afterId)
    .where('billing_type', '=', 'postpaid')
    .where('state', '!=', 'failed')
    .where('g.created_at_ms', '<', atMs)
    .where((eb) => eb.or([eb('ended_at_ms', 'is', null), eb('ended_at_ms', '>', atMs)]))
    .orderBy('g.id')
    .limit(GROUPS_MAX)
    .execute();
}

/** A zone that nobody knows is never due: its tenant's bills say what is wrong. */
function startsIn(book: Row<'price_books'>, zone: string): number | null {
  try {
    return startsForRunningMs(book.valid_from_ms, zone);
  } catch {
    return null;
  }
}

async function nextStartMs(trx: Trx, book: Row<'price_books'>, afterMs: number): Promise<number | null> {
  const zones = await trx.selectFrom('tenants').select('zone').distinct().execute();
  const starts = zones.map(({ zone }) => startsIn(book, zone)).filter((ms) => ms !== null && ms > afterMs);
  return starts.length === 0 ? null : Math.min(...(starts as number[]));
}

async function reprice(trx: Trx, deps: JobDeps, groups: readonly Candidate[], atMs: number): Promise<void> {
  if (groups.length === 0) return;
  const segments = await segmentsOf(
    trx,
    groups.map(({ id }) => id),
  );
  const billedTo = await billedToOf(trx, [...new Set(groups.map((group) => group.tenant_id))]);
  const listed = await pricesBy(trx, groups, atMs);
  const added: { readonly group: Candidate; readonly row: NewRow<'group_segments'> }[] = [];
  for (const group of groups) {
    // An hour that is billed already keeps its price (the clock was set back before the version was imported).
    const fromMs = Math.max(atMs, billedTo.get(group.tenant_id) ?? 0);
    const own = segments.get(group.id) ?? [];
    const before = own.findLast((segment) => segment.from_ms <= fromMs);
    if (before === undefined || before.from_ms === fromMs) continue;
    const price = hourlyPriceFor(before, listed.get(group.template_id) ?? null, group.zone);
    if (price.hourlyPriceMicros === before.hourly_price_micros) continue;
    added.push({ group, row: segmentOf(deps, before, fromMs, price) });
  }
  if (added.length === 0) return;
  await trx
    .insertInto('group_segments')
    .values(added.map(({ row }) => row))
    .execute();
  const actor = { kind: 'system', job: 'prices' } as const;
  await auditAll(trx, { ...deps, actor }, added.map(entryOf));
}

function segmentOf(
  deps: JobDeps,
  before: Row<'group_segments'>,
  fromMs: number,
  price: HourlyPrice,
): NewRow<'group_segments'> {
  return {
    id: deps.newId('segment'),
    group_id: before.group_id,
    from_ms: fromMs,
    units: before.units,
    hourly_price_micros: price.hourlyPriceMicros,
    price_version: price.version,
  };
}

function entryOf({ group, row }: { group: Candidate; row: NewRow<'group_segments'> }) {
  const { from_ms: fromMs, hourly_price_micros: hourlyPriceMicros, price_version: priceVersion } = row;
  return {
    verb: 'group.price',
    subject: group.id,
    tenantId: group.tenant_id,
    detail: { fromMs, hourlyPriceMicros, priceVersion },
  };
}

async function pricesBy(trx: Trx, groups: readonly Candidate[], atMs: number) {
  const listed = new Map<string, ListedPrice | null>();
  for (const { template_id } of groups) {
    if (!listed.has(template_id)) listed.set(template_id, await lastPriceBy(trx, template_id, atMs));
  }
  return listed;
}
