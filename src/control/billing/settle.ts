import { setImmediate as nextTick } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import { ISSUE_DELAY_MS, issuedAtMs } from '../../core/commerce/billing.ts';
import { clockHourOf } from '../../core/commerce/term.ts';
import type { IdKind } from '../../core/ids.ts';
import type { Database } from '../../store/schema.ts';
import { nextBillableMs } from './groups.ts';
import { type DueBill, issueBills } from './issue.ts';
import { type Standing, standingPages, standingsOf } from './standing.ts';

/** Bills in one transaction: most of a small bill's time is its commit. */
const BILLS_PER_TRANSACTION = 50;
const BILLS_MAX = 1000;

export interface SettleDeps {
  readonly db: Kysely<Database>;
  now(): number;
  newId(kind: IdKind): string;
  /** Bills that are due at or before this instant; now unless told otherwise. */
  readonly asOfMs?: number;
  /** From an hour's end to its bill; 1 h unless told otherwise. */
  readonly issueDelayMs?: number;
  /** Bills of one run at most. */
  readonly billsMax?: number;
  readonly signal?: AbortSignal;
}

interface Failure {
  readonly tenantId: string;
  readonly error: unknown;
}

export interface SettledAll {
  /** Bills written by this run. */
  readonly bills: number;
  /** True when the run stopped at its limit: more is due. */
  readonly more: boolean;
  /** Tenants whose bills could not be written; they wait for the next run and hold nobody up. */
  readonly failures: readonly Failure[];
}

/**
 * Issues every bill that is due: for each tenant and each clock hour of its zone, oldest first. A bill, its lines, the
 * charge wallet → revenue and the audit row are written in one transaction, some tenants' bills together. What is billed
 * is the difference between the cumulative count at the hour's end and the last one on a bill, so it makes no difference
 * how often, how late or how many at a time this runs, nor where it is killed. A run costs a few index look-ups per
 * tenant when nothing is due.
 */
export async function settle(deps: SettleDeps): Promise<SettledAll> {
  const run = new SettleRun(deps);
  for await (const page of standingPages(deps.db)) {
    if (!(await run.settlePage(page))) return { bills: run.bills, more: true, failures: run.failures };
  }
  return { bills: run.bills, more: false, failures: run.failures };
}

class SettleRun {
  bills = 0;
  readonly failures: Failure[] = [];
  readonly #deps: SettleDeps;
  readonly #asOfMs: number;

  constructor(deps: SettleDeps) {
    this.#deps = deps;
    this.#asOfMs = deps.asOfMs ?? deps.now();
  }

  /** False when the limit was reached or a stop asked for while more is due. */
  async settlePage(page: readonly Standing[]): Promise<boolean> {
    for (let due = this.#dueOf(page); due.length > 0; ) {
      const left = (this.#deps.billsMax ?? BILLS_MAX) - this.bills;
      if (left <= 0 || this.#deps.signal?.aborted) return false;
      const now = due.slice(0, Math.min(left, BILLS_PER_TRANSACTION));
      const settled = await this.#issue(now);
      const rest = due.slice(now.length);
      due = [...rest, ...this.#dueOf(await standingsBeyond(this.#deps.db, settled))];
      await nextTick(); // requests that wait for the event loop come first
    }
    return true;
  }

  #dueOf(tenants: readonly Standing[]): DueBill[] {
    return tenants.flatMap((tenant) => {
      if (tenant.nextBillableMs === null) return [];
      try {
        const hour = clockHourOf(tenant.nextBillableMs, tenant.zone);
        const issueMs = issuedAtMs(hour.toMs, this.#deps.issueDelayMs ?? ISSUE_DELAY_MS);
        return issueMs <= this.#asOfMs ? [{ tenant, hour, issueMs }] : [];
      } catch (error) {
        this.failures.push({ tenantId: tenant.id, error });
        return [];
      }
    });
  }

  /** Those whose hour is done. What fails together is tried one by one, so that one tenant's fault stays its own. */
  async #issue(due: readonly DueBill[]): Promise<readonly DueBill[]> {
    try {
      const { db, now, newId } = this.#deps;
      this.bills += await db.transaction().execute((trx) => issueBills(trx, { now, newId }, due));
      return due;
    } catch (error) {
      const [first, ...others] = due;
      if (first === undefined) return [];
      if (others.length === 0) {
        this.failures.push({ tenantId: first.tenant.id, error });
        return [];
      }
      const settled: DueBill[] = [];
      for (const one of due) settled.push(...(await this.#issue([one])));
      return settled;
    }
  }
}

/** Where the tenants of these bills stand now. An hour for which nothing was owed left no bill: it is stepped over. */
async function standingsBeyond(db: Kysely<Database>, settled: readonly DueBill[]): Promise<Standing[]> {
  if (settled.length === 0) return [];
  const endMs = new Map(settled.map(({ tenant, hour }) => [tenant.id, hour.toMs]));
  const standings: Standing[] = [];
  for (const standing of await standingsOf(db, [...endMs.keys()])) {
    const beyondMs = endMs.get(standing.id)!;
    const stuck = standing.nextBillableMs !== null && standing.nextBillableMs < beyondMs;
    standings.push(stuck ? { ...standing, nextBillableMs: await nextBillableMs(db, standing.id, beyondMs) } : standing);
  }
  return standings;
}

/** When the next bill of all tenants is due that is due later than `afterMs`, or null. */
export async function nextIssueMs(
  deps: Pick<SettleDeps, 'db' | 'issueDelayMs'>,
  afterMs: number,
): Promise<number | null> {
  const delayMs = deps.issueDelayMs ?? ISSUE_DELAY_MS;
  let nextMs: number | null = null;
  for await (const page of standingPages(deps.db)) {
    for (const tenant of page) {
      const issueMs = await issueMsAfter(deps.db, tenant, { delayMs, afterMs });
      if (issueMs !== null && (nextMs === null || issueMs < nextMs)) nextMs = issueMs;
    }
  }
  return nextMs;
}

async function issueMsAfter(
  db: Kysely<Database>,
  tenant: Standing,
  { delayMs, afterMs }: { delayMs: number; afterMs: number },
): Promise<number | null> {
  const startMs = tenant.nextBillableMs;
  if (startMs === null) return null;
  const firstMs = issueOf(startMs, tenant.zone, delayMs);
  if (firstMs > afterMs) return firstMs;
  // Its bill was due by then and is not there, for nothing was owed or it cannot be written: look beyond.
  const laterMs = await nextBillableMs(db, tenant.id, afterMs - delayMs);
  const nextMs = laterMs === null ? null : issueOf(laterMs, tenant.zone, delayMs);
  return nextMs !== null && nextMs > afterMs ? nextMs : null;
}

/** A zone that nobody knows makes its bill due at once: the run says what is wrong. */
function issueOf(startMs: number, zone: string, delayMs: number): number {
  try {
    return issuedAtMs(clockHourOf(startMs, zone).toMs, delayMs);
  } catch {
    return startMs;
  }
}
