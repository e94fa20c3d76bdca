import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Estimate } from '../core/serving/admission.ts';
import { capacityUs } from '../core/serving/bucket.ts';
import { totalUs } from '../core/serving/work.ts';
import { memoryCounters } from '../counters/memory.ts';
import type { Counters } from '../counters/port.ts';
import { endpoint, FakeEngine, served, snapshot } from './fixture.ts';
import { startSharing } from './sharing.ts';
import { State } from './state.ts';

const SHARE = { id: 'key-1', weight: 1 };
const KEY = { keyId: 'key-1', tenantId: 't-1' };
const CAPACITY_US = capacityUs(1);
const RUN_MS = 1_000;

/** What leases come from, which can be lost. */
class Losable implements Counters {
  lost = false;
  calls = 0;
  readonly #inner = memoryCounters(() => performance.now());
  async exchange(reports: Parameters<Counters['exchange']>[0]) {
    this.calls += 1;
    if (this.lost) throw new Error('gone');
    return this.#inner.exchange(reports);
  }
  async close() {}
}

function gatewayOf(counters: Counters, gatewayId: string) {
  const said: string[] = [];
  const say = (_: object, message: string) => void said.push(message);
  const state = new State({
    connect: (address) => new FakeEngine(address),
    knownFields: () => new Set(),
    now: Date.now,
    monotonicMs: () => performance.now(),
    newRequestId: () => 'req',
    record: () => {},
    log: { info: say, warn: say, error: say },
    registry: new Registry(),
  });
  state.apply(snapshot(endpoint({ servedModels: [served({ batchPerUnit: 1_000, kvTokensPerUnit: 1e9 })] })));
  const model = [...state.served.values()][0]!;
  const sharing = startSharing({ state, counters, gatewayId });
  let admittedUs = 0;
  const ask = (workUs: number) => {
    const work = { prefillUs: workUs, decodeUs: 0 };
    const estimate: Estimate = { work, kvTokens: 1, outputTokens: 1, sequences: 1 };
    model.demand.asked(SHARE, estimate, performance.now());
    model.enqueue({
      key: KEY,
      estimate,
      workUs,
      bytes: 1,
      deadlineMs: performance.now() + 600_000,
      shares: [SHARE],
      admit: (reservation) => {
        admittedUs += totalUs(reservation.work);
        setTimeout(() => model.settle(KEY.keyId, reservation, reservation.work), RUN_MS);
      },
      expire: () => {},
    });
  };
  const end = async () => {
    await sharing.stop();
    model.retire();
  };
  return { model, sharing, said, ask, end, admittedUs: () => admittedUs };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('without leases each of two gateways lets in half of everything, says so, and shares again when leases are back', async () => {
  const counters = new Losable();
  const gateways = [gatewayOf(counters, 'a'), gatewayOf(counters, 'b')];
  const flood = async (seconds: number) => {
    for (let ms = 0; ms < seconds * 1_000; ms += 100) {
      // Twice what the unit supplies.
      for (const { ask } of gateways) ask(100_000);
      await vi.advanceTimersByTimeAsync(100);
    }
  };
  const admittedUs = () => gateways.reduce((sum, one) => sum + one.admittedUs(), 0);
  const startMs = performance.now();
  // The bucket is full then.
  await flood(40);
  expect(gateways.map(({ sharing }) => sharing.status())).toMatchObject(Array(2).fill({ mode: 'leased', gateways: 2 }));
  const boundUs = () => CAPACITY_US + 1_000 * (performance.now() - startMs);
  expect(admittedUs()).toBeLessThanOrEqual(boundUs());
  expect(admittedUs()).toBeGreaterThan(boundUs() - 1_000_000);

  counters.lost = true;
  await flood(3);
  expect(gateways.map(({ sharing }) => sharing.status().mode)).toEqual(['alone', 'alone']);
  const beforeUs = gateways.map((one) => one.admittedUs());
  await flood(20);
  for (const [index, one] of gateways.entries()) {
    // Half of the unit's second each second.
    expect((one.admittedUs() - beforeUs[index]!) / (20 * 500_000)).toBeCloseTo(1, 1);
    expect(one.said.filter((line) => line.includes('not shared'))).toHaveLength(1);
  }
  expect(admittedUs()).toBeLessThanOrEqual(boundUs());

  counters.lost = false;
  await flood(5);
  expect(gateways.map(({ sharing }) => sharing.status().mode)).toEqual(['leased', 'leased']);
  expect(gateways.every(({ said }) => said.at(-1)?.includes('again'))).toBe(true);
  const healedUs = admittedUs();
  await flood(20);
  // What was let in meanwhile counts: neither a second bucket nor a pause.
  expect((admittedUs() - healedUs) / 20_000_000).toBeGreaterThan(0.9);
  expect(admittedUs()).toBeLessThanOrEqual(boundUs());
  await Promise.all(gateways.map(({ end }) => end()));
});

it('a request larger than the capacity enters under leases once the bucket is empty, and nothing until it is drained', async () => {
  const counters = new Losable();
  const one = gatewayOf(counters, 'a');
  const other = gatewayOf(counters, 'b');
  await vi.advanceTimersByTimeAsync(10);
  other.ask(1_000_000);
  await vi.advanceTimersByTimeAsync(300);
  expect(other.admittedUs()).toBe(1_000_000);
  one.ask(CAPACITY_US + 1_000_000);
  await vi.advanceTimersByTimeAsync(200);
  expect(one.admittedUs()).toBe(0);
  // The other goes on asking.
  for (let turn = 0; turn < 100; turn += 1) {
    other.ask(20_000);
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(one.admittedUs()).toBe(CAPACITY_US + 1_000_000);
  await Promise.all([one.end(), other.end()]);
});

it('asks once a second where little is asked for, not at all where nothing is, and at once for what the lease does not hold', async () => {
  const counters = new Losable();
  const one = gatewayOf(counters, 'a');
  one.ask(1_000);
  await vi.advanceTimersByTimeAsync(3_000);
  const before = counters.calls;
  one.ask(1_000);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(counters.calls - before).toBeLessThanOrEqual(6);
  await vi.advanceTimersByTimeAsync(60_000);
  const idle = counters.calls;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(counters.calls).toBe(idle);
  one.ask(1_000_000);
  await vi.advanceTimersByTimeAsync(150);
  expect(one.admittedUs()).toBe(1_002_000);
  await one.end();
});
