import type { z } from 'zod';
import { endpointCreate } from '../../control/endpoint/create.ts';
import { OPERATOR } from '../../control/fixture.ts';
import { groupShow } from '../../control/group/show.ts';
import { orderNew } from '../../control/order/new.ts';
import { orderResize } from '../../control/order/resize.ts';
import { orderUnsubscribe } from '../../control/order/unsubscribe.ts';
import { tenantCreate } from '../../control/tenant/create.ts';
import type { Verb } from '../../control/verb.ts';
import { walletTopUp } from '../../control/wallet/top-up.ts';
import { CubitError } from '../../core/errors.ts';
import { seededRandom } from '../../workload/random.ts';
import type { SoakEvent } from './events.ts';
import { ZONES } from './oracle.ts';
import { MortalControl } from './process.ts';

const HOUR_MS = 3_600_000;
const GROUPS_PER_TENANT_MAX = 3;
/** What a world of chance may be refused; anything else is a fault. */
const REFUSALS = new Set(['payment_required', 'capacity_exhausted', 'invalid_transition', 'conflict']);

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
  placedAtMs: number;
  /** Units that are paid; 0 before the first. */
  units: number;
  /** Units that are on their way, or null. */
  wanted: number | null;
  /** Of the units that are paid. */
  priceMicros: bigint;
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
  #priceMicros = 0n;
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
    await this.#changePrice();
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
    const act = this.#random(10);
    if (act === 0) await this.#changePrice();
    else if (act <= 2) await this.#topUp(tenantId);
    else if (act <= 5 && own.length < GROUPS_PER_TENANT_MAX) await this.#buy(tenantId, group);
    else if (group !== undefined && act <= 7) await this.#resize(group);
    else if (group !== undefined) await this.#unsubscribe(group);
  }

  async #addTenant(zone: string): Promise<void> {
    const { tenantId } = (await this.#call(tenantCreate, { name: 'soak', zone }))!;
    this.#tenants.push(tenantId);
    this.events.push({ kind: 'tenant', tenantId, zone });
    await this.#topUp(tenantId);
  }

  async #topUp(tenantId: string): Promise<void> {
    const micros = BigInt(1 + this.#random(2_000_000_000)) * 3n;
    const amount = `${micros / 1_000_000n}.${String(micros % 1_000_000n).padStart(6, '0')}`;
    const reference = `payment ${++this.#keys}`;
    await this.#call(walletTopUp, { tenantId, amount, reference });
    this.events.push({ kind: 'top_up', tenantId, micros });
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
    const priceMicros = this.#priceMicros;
    if (sibling === undefined || this.#random(2) === 0) {
      const models = [{ modelId: 'alpha', units }];
      const endpoint = await this.#call(endpointCreate, { tenantId, name: `chat-${++this.#keys}`, models });
      for (const { groupId, createdAtMs } of endpoint?.groups ?? []) {
        const { endpointId } = endpoint!;
        this.#groups.push({
          groupId,
          tenantId,
          endpointId,
          placedAtMs: createdAtMs,
          units: 0,
          wanted: units,
          priceMicros,
        });
      }
      return;
    }
    const { endpointId } = sibling;
    const placed = await this.#call(orderNew, { endpointId, units });
    if (placed === null) return;
    const { groupId, createdAtMs } = placed.group;
    this.#groups.push({ groupId, tenantId, endpointId, placedAtMs: createdAtMs, units: 0, wanted: units, priceMicros });
  }

  async #resize(group: Group): Promise<void> {
    const units = 1 + this.#random(5);
    if (units === (group.wanted ?? group.units)) return;
    const placed = await this.#call(orderResize, { groupId: group.groupId, units });
    if (placed === null) return;
    if (units > group.units) {
      group.wanted = units;
      return;
    }
    group.units = units;
    const { groupId, priceMicros } = group;
    this.events.push({ kind: 'units', groupId, atMs: placed.order.createdAtMs, units, priceMicros });
  }

  async #unsubscribe(group: Group): Promise<void> {
    const { groupId, units } = group;
    const placed = await this.#call(orderUnsubscribe, { groupId });
    if (placed === null) return;
    if (units > 0) this.events.push({ kind: 'end', groupId, atMs: placed.order.createdAtMs });
    this.#groups = this.#groups.filter((one) => one !== group);
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
    for (const group of this.#groups.filter(({ wanted }) => wanted !== null)) await this.#look(group, atMs);
  }

  async #look(group: Group, atMs: number): Promise<void> {
    const seen = (await this.#call(groupShow, { groupId: group.groupId }))!;
    const { groupId, tenantId, placedAtMs, wanted } = group;
    if (seen.state === 'failed') {
      this.#groups = this.#groups.filter((one) => one !== group);
    } else if (seen.state === 'active') {
      const succeeded = seen.units === wanted;
      group.wanted = null;
      if (!succeeded) return;
      const units = wanted;
      const { priceMicros } = group;
      this.events.push(
        group.units === 0
          ? { kind: 'start', groupId, tenantId, placedAtMs, atMs, units, priceMicros }
          : { kind: 'units', groupId, atMs, units, priceMicros },
      );
      group.units = units;
    }
  }

  /** Another version of the price book: running groups keep their price, what is bought from now on has this one. */
  async #changePrice(): Promise<void> {
    const { control } = this.mortal;
    const { catalog } = control.deps;
    this.#priceMicros = BigInt(1 + this.#random(9_000_000));
    const hourly = `${this.#priceMicros / 1_000_000n}.${String(this.#priceMicros % 1_000_000n).padStart(6, '0')}`;
    const prices = catalog.priceBook.prices.map((price) => ({ ...price, hourly }));
    const priceBook = { ...catalog.priceBook, version: `v${++this.#keys}`, prices };
    control.deps = { ...control.deps, catalog: { ...catalog, priceBook } };
    this.mortal.provisioner = this.mortal.newProvisioner();
  }

  /** null when it was refused as such a world may be. A client that got no answer asks again under the same key. */
  async #call<I extends z.ZodObject, O extends z.ZodType>(
    verb: Verb<I, O>,
    input: z.input<I>,
  ): Promise<z.output<O> | null> {
    this.counts.calls += 1;
    const key = `soak-${++this.#keys}`;
    const later = () => {
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
