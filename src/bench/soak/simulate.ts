import type { z } from 'zod';
import { endpointCreate } from '../../control/endpoint/create.ts';
import { OPERATOR } from '../../control/fixture.ts';
import { groupAutoRenew } from '../../control/group/auto-renew.ts';
import { groupShow } from '../../control/group/show.ts';
import { orderNew } from '../../control/order/new.ts';
import type { Preview } from '../../control/order/preview.ts';
import { orderPreviewResize } from '../../control/order/preview-resize.ts';
import { orderPreviewUnsubscribe } from '../../control/order/preview-unsubscribe.ts';
import { orderRenew } from '../../control/order/renew.ts';
import { orderResize } from '../../control/order/resize.ts';
import { orderUnsubscribe } from '../../control/order/unsubscribe.ts';
import { tenantCreate } from '../../control/tenant/create.ts';
import type { Verb } from '../../control/verb.ts';
import { walletTopUp } from '../../control/wallet/top-up.ts';
import { CubitError } from '../../core/errors.ts';
import { seededRandom } from '../../workload/random.ts';
import { ZONES } from './calendar.ts';
import type { SoakEvent } from './events.ts';
import { MortalControl } from './process.ts';

const HOUR_MS = 3_600_000;
const GROUPS_PER_TENANT_MAX = 3;
/** What a world of chance may be refused; anything else is a fault. */
const REFUSALS = new Set(['payment_required', 'capacity_exhausted', 'invalid_transition', 'conflict', 'quote_changed']);

export interface SoakOptions {
  readonly seed: number;
  readonly days: number;
  readonly tenants: number;
  readonly deathPercent: number;
  readonly progress?: (day: number) => void;
}

export interface Soaked {
  readonly mortal: MortalControl;
  readonly events: readonly SoakEvent[];
  readonly counts: { steps: number; calls: number; refused: number; deaths: number; setBacks: number };
}

/** A group as its tenant knows it. */
interface Group {
  readonly groupId: string;
  readonly tenantId: string;
  readonly endpointId: string;
  readonly prepaid: boolean;
  /** Units that are ready; 0 before the first. */
  units: number;
  /** Units that are on their way, or null. */
  wanted: number | null;
}

/**
 * Lives through `days` days: tenants top up, buy, resize and unsubscribe; units come up or fail; prices change; the
 * clock leaps ahead and is set back; jobs pause for days; and the control plane dies in the middle of its transactions.
 * All by one seed. What happened is in `events`.
 */
export async function simulate(options: SoakOptions): Promise<Soaked> {
  const world = await World.open(options);
  await world.live(options);
  return { mortal: world.mortal, events: world.events, counts: { ...world.counts, deaths: world.mortal.deaths } };
}

class World {
  readonly mortal: MortalControl;
  readonly events: SoakEvent[] = [];
  readonly counts = { steps: 0, calls: 0, refused: 0, setBacks: 0 };
  readonly #random: (max: number) => number;
  readonly #tenants: string[] = [];
  #groups: Group[] = [];
  #keys = 0;

  private constructor(mortal: MortalControl, random: (max: number) => number) {
    this.mortal = mortal;
    this.#random = random;
  }

  static async open({ seed, deathPercent }: SoakOptions): Promise<World> {
    const uniform = seededRandom(seed);
    const random = (max: number) => Math.floor(uniform() * max);
    const startMs = Date.parse('2026-01-01T00:00:00Z') + random(24 * HOUR_MS);
    return new World(await MortalControl.open({ random, startMs, deathPercent }), random);
  }

  async live({ days, tenants, progress }: SoakOptions): Promise<void> {
    const startMs = this.mortal.nowMs;
    const endMs = startMs + days * 24 * HOUR_MS;
    await this.#changePrices();
    for (let i = 0; i < tenants; i++) await this.#addTenant(ZONES[i % ZONES.length]!);
    while (this.mortal.nowMs < endMs) {
      this.counts.steps += 1;
      this.#moveClock();
      for (let ops = this.#random(4); ops > 0; ops--) await this.#act();
      await this.#provision();
      if (this.#random(10) < 8) await this.#settle();
      progress?.(Math.floor((this.mortal.nowMs - startMs) / (24 * HOUR_MS)));
    }
    await this.#settle();
  }

  #moveClock(): void {
    const leap = this.#random(100);
    if (leap < 4) {
      this.counts.setBacks += 1;
      this.mortal.nowMs -= this.#random(3 * HOUR_MS);
    } else {
      this.mortal.nowMs += leap < 10 ? 72 * HOUR_MS : this.#random([10_000, HOUR_MS, 24 * HOUR_MS][leap % 3]!);
    }
  }

  async #settle(): Promise<void> {
    await this.mortal.runJobs();
    this.events.push({ kind: 'settled', atMs: this.mortal.nowMs });
  }

  async #act(): Promise<void> {
    const tenantId = this.#tenants[this.#random(this.#tenants.length)]!;
    const own = this.#groups.filter((group) => group.tenantId === tenantId);
    const group = own[this.#random(Math.max(1, own.length))];
    const act = this.#random(14);
    if (act === 0) await this.#changePrices();
    else if (act <= 2) await this.#topUp(tenantId);
    else if (act <= 5 && own.length < GROUPS_PER_TENANT_MAX) await this.#buy(tenantId, group);
    else if (group !== undefined && act <= 8) await this.#resize(group);
    else if (group?.prepaid && act <= 11) await this.#renew(group);
    else if (group !== undefined && this.#random(3) === 0) await this.#unsubscribe(group);
  }

  async #addTenant(zone: string): Promise<void> {
    const { tenantId } = (await this.#call(tenantCreate, { name: 'soak', zone }))!;
    this.#tenants.push(tenantId);
    this.events.push({ kind: 'tenant', tenantId, zone });
    await this.#topUp(tenantId, true);
  }

  async #topUp(tenantId: string, rich = false): Promise<void> {
    // Mostly little, so that wallets run dry.
    const micros = BigInt(1 + this.#random(rich || this.#random(4) === 0 ? 2_000_000_000 : 20_000_000)) * 3n;
    const amount = decimal(micros);
    const reference = `payment ${++this.#keys}`;
    await this.#call(walletTopUp, { tenantId, amount, reference }, { still: true });
    this.events.push({ kind: 'top_up', tenantId, atMs: this.mortal.nowMs, micros });
    // The bank says it twice, and somebody uses its number for another sum.
    if (this.#random(3) === 0) await this.#call(walletTopUp, { tenantId, amount, reference });
    if (this.#random(3) > 0) return;
    const other = this.#call(walletTopUp, { tenantId, amount: '0.000001', reference });
    const code = await other.then(
      () => 'taken',
      (error: unknown) => (error as CubitError).code,
    );
    if (code !== 'idempotency_conflict') throw new Error(`another sum under one reference: ${code}`);
  }

  async #buy(tenantId: string, sibling: Group | undefined): Promise<void> {
    const units = 1 + this.#random(3);
    const prepaid = this.#random(2) === 0;
    const months = prepaid ? 1 + this.#random(3) : null;
    const autoRenewMonths = prepaid && this.#random(2) === 0 ? 1 + this.#random(2) : null;
    const wanted = {
      units,
      ...(months === null ? {} : { billingType: 'prepaid' as const, months }),
      ...(autoRenewMonths === null ? {} : { autoRenewMonths }),
    };
    const bought =
      sibling === undefined || this.#random(2) === 0
        ? await this.#buyEndpoint(tenantId, wanted)
        : await this.#call(orderNew, { endpointId: sibling.endpointId, ...wanted });
    if (bought === null) return;
    const { groupId, endpointId, createdAtMs: atMs } = bought.group;
    this.#groups.push({ groupId, tenantId, endpointId, prepaid, units: 0, wanted: units });
    this.events.push({ kind: 'new', groupId, tenantId, atMs, units, months, autoRenewMonths });
  }

  async #buyEndpoint(tenantId: string, wanted: { readonly units: number }) {
    const models = [{ modelId: 'alpha', ...wanted }];
    const endpoint = await this.#call(endpointCreate, { tenantId, name: `chat-${++this.#keys}`, models });
    return endpoint === null ? null : { group: endpoint.groups[0]! };
  }

  async #resize(group: Group): Promise<void> {
    const { groupId, prepaid } = group;
    const units = 1 + this.#random(5);
    if (units === (group.wanted ?? group.units)) return;
    const quote = prepaid ? await this.#quote(orderPreviewResize, { groupId, units }) : {};
    if (quote === null) return;
    const placed = await this.#call(orderResize, { groupId, units, ...quote.with });
    if (placed === null) return;
    const atMs = quote.askedAtMs ?? placed.order.createdAtMs;
    this.events.push({ kind: 'resize', groupId, atMs, units });
    if (units > group.units) group.wanted = units;
    else group.units = units;
  }

  async #renew(group: Group): Promise<void> {
    const { groupId } = group;
    if (this.#random(4) === 0) {
      const months = this.#random(3) === 0 ? null : 1 + this.#random(2);
      const set = { groupId, enabled: months !== null, ...(months === null ? {} : { months }) };
      if ((await this.#call(groupAutoRenew, set)) !== null) this.events.push({ kind: 'auto_renew', groupId, months });
      return;
    }
    const months = 1 + this.#random(2);
    const placed = await this.#call(orderRenew, { groupId, months });
    if (placed === null) return;
    const { createdAtMs: atMs } = placed.order;
    this.events.push({ kind: 'renew', groupId, atMs, months });
  }

  async #unsubscribe(group: Group): Promise<void> {
    const { groupId, prepaid } = group;
    const quote = prepaid ? await this.#quote(orderPreviewUnsubscribe, { groupId }) : {};
    if (quote === null) return;
    const placed = await this.#call(orderUnsubscribe, { groupId, ...quote.with });
    if (placed === null) return;
    const atMs = placed.order.createdAtMs;
    this.events.push({ kind: 'end', groupId, atMs, askedAtMs: quote.askedAtMs ?? atMs });
    this.#groups = this.#groups.filter((one) => one !== group);
  }

  /** What a preview shows is agreed to; the order is reckoned from the preview's instant. */
  async #quote<I extends z.ZodObject>(
    preview: Verb<I, typeof Preview>,
    input: z.input<I>,
  ): Promise<{ readonly with?: { readonly quoteId: string }; readonly askedAtMs?: number } | null> {
    const shown = await this.#call(preview, input);
    return shown === null ? null : { with: { quoteId: shown.quoteId }, askedAtMs: this.mortal.nowMs };
  }

  /** The provisioner works, some units fail; then every tenant looks what has become of its orders. */
  async #provision(): Promise<void> {
    const atMs = this.mortal.nowMs;
    await this.mortal.survive(() => this.mortal.provisioner.reconcile());
    const { fleet } = this.mortal.control;
    for (const { replicaId, state } of fleet.list()) {
      if (state !== 'starting' || this.#random(10) === 0) continue;
      fleet.become(replicaId, this.#random(20) === 0 ? 'failed' : 'ready', 'no luck');
    }
    await this.mortal.survive(() => this.mortal.provisioner.reconcile());
    fleet.allDrained();
    for (const group of [...this.#groups]) await this.#look(group, atMs);
  }

  /** What has become of a group: ready, failed, or taken back by the jobs. */
  async #look(group: Group, atMs: number): Promise<void> {
    const { groupId, wanted } = group;
    const seen = (await this.#call(groupShow, { groupId }))!;
    const live = seen.state === 'active' || seen.state === 'provisioning' || seen.state === 'resizing';
    if (!live) this.#groups = this.#groups.filter((one) => one !== group);
    if (wanted === null) return;
    if (seen.state === 'failed') this.events.push({ kind: 'failed', groupId, atMs });
    if (seen.state !== 'active') return;
    group.wanted = null;
    if (seen.units === wanted) group.units = wanted;
    this.events.push({ kind: seen.units === wanted ? 'ready' : 'failed', groupId, atMs });
  }

  /** Another version of the price book: running units keep their price, what is bought from now on has this one. */
  async #changePrices(): Promise<void> {
    const { control } = this.mortal;
    const { catalog } = control.deps;
    const hourlyMicros = BigInt(this.#random(9_000_000));
    const monthlyMicros = BigInt(1 + this.#random(200_000_000));
    const penalty = [1, 0.3, 0.123457, 0.000001][this.#random(4)]!;
    const price = { hourly: decimal(hourlyMicros), monthly: decimal(monthlyMicros), penalty };
    const prices = catalog.priceBook.prices.map((row) => ({ ...row, ...price }));
    const priceBook = { ...catalog.priceBook, version: `v${++this.#keys}`, prices };
    control.deps = { ...control.deps, catalog: { ...catalog, priceBook } };
    this.mortal.provisioner = this.mortal.newProvisioner();
    const penaltyMillionths = BigInt(Math.round(penalty * 1e6));
    this.events.push({ kind: 'prices', hourlyMicros, monthlyMicros, penaltyMillionths });
  }

  /** null when it was refused as such a world may be. A client that got no answer asks again under the same key. */
  async #call<I extends z.ZodObject, O extends z.ZodType>(
    verb: Verb<I, O>,
    input: z.input<I>,
    { still = false } = {},
  ): Promise<z.output<O> | null> {
    this.counts.calls += 1;
    const key = `soak-${++this.#keys}`;
    const later = () => {
      if (still) return;
      this.mortal.nowMs += this.#random(2) * this.#random(HOUR_MS);
    };
    try {
      return await this.mortal.survive(() => this.mortal.control.call(verb, OPERATOR, input, key), later);
    } catch (error) {
      if (!(error instanceof CubitError) || !REFUSALS.has(error.code)) throw error;
      this.counts.refused += 1;
      return null;
    }
  }
}

function decimal(micros: bigint): string {
  return `${micros / 1_000_000n}.${String(micros % 1_000_000n).padStart(6, '0')}`;
}
