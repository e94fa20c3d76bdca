import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HEALTH_SETTINGS,
  type HealthChange,
  type HealthEnd,
  type HealthSamples,
  ReplicaHealth,
} from './replica-health.ts';

const { ejectMs, ejectMsMax, probes } = HEALTH_SETTINGS;
const idsOf = (count: number) => Array.from({ length: count }, (_, at) => `r${at}`);

class Pool {
  readonly changes: HealthChange[] = [];
  readonly health = new ReplicaHealth((change) => this.changes.push(change));
  readonly ids: readonly string[];
  nowMs = 0;

  constructor(count: number) {
    this.ids = idsOf(count);
    this.health.keep(new Set(this.ids), 0);
  }

  /** One request from beginning to end. */
  request(id: string, end: HealthEnd, samples: HealthSamples = {}): void {
    const epoch = this.health.began(id, this.nowMs, 10_000);
    this.health.ended(id, epoch, this.nowMs, end, samples);
  }

  fail(id: string, times = HEALTH_SETTINGS.failuresInARow): void {
    for (let time = 0; time < times; time += 1) this.request(id, 'failed');
  }

  /** Of those that take no requests. */
  get out(): string[] {
    return this.ids.filter((id) => !this.health.serves(id));
  }
}

describe('failures', () => {
  it('in a row eject; one that went well between them, or a client that left, does not count', () => {
    const pool = new Pool(4);
    for (const end of ['failed', 'failed', 'ok', 'failed', 'failed', 'abandoned'] as const) pool.request('r0', end);
    expect(pool.out).toEqual([]);
    pool.request('r0', 'failed');
    expect(pool.out).toEqual(['r0']);
    expect(pool.changes).toEqual([{ replicaId: 'r0', state: 'ejected', reason: 'failing', ejectedMs: ejectMs }]);
  });

  it('of connections eject sooner, and half of the last 16 ends do too', () => {
    const pool = new Pool(4);
    pool.request('r0', 'unreachable');
    pool.request('r0', 'unreachable');
    for (let time = 0; time < 8; time += 1) {
      pool.request('r1', 'ok');
      pool.request('r1', 'failed');
    }
    expect(pool.out).toEqual(['r0', 'r1']);
    expect(pool.changes.map(({ reason }) => reason)).toEqual(['unreachable', 'failing']);
  });

  it('of requests that began before the ejection do not lengthen it, nor does their success end it', () => {
    const pool = new Pool(4);
    const early = [1, 2].map(() => pool.health.began('r0', 0, 10_000));
    pool.fail('r0');
    pool.nowMs = ejectMs;
    expect(pool.health.probeDue(pool.nowMs)).toBe('r0');
    pool.health.ended('r0', early[0] as number, pool.nowMs, 'failed');
    for (let time = 0; time < probes; time += 1) pool.health.ended('r0', early[1] as number, pool.nowMs, 'ok');
    expect(pool.health.view('r0')).toEqual({ state: 'probing', reason: 'failing' });
  });
});

describe('half-open', () => {
  it('tries one request at a time, and serves after some that went well', () => {
    const pool = new Pool(3);
    pool.fail('r0');
    expect(pool.health.probeDue(ejectMs - 1)).toBeNull();
    pool.nowMs = ejectMs;
    for (let probe = 0; probe < probes; probe += 1) {
      expect(pool.health.probeDue(pool.nowMs)).toBe('r0');
      const epoch = pool.health.began('r0', pool.nowMs, 10_000);
      expect(pool.health.probeDue(pool.nowMs)).toBeNull();
      expect(pool.out).toEqual(['r0']);
      pool.health.ended('r0', epoch, pool.nowMs, 'ok');
    }
    expect(pool.out).toEqual([]);
    expect(pool.changes.map(({ state }) => state)).toEqual(['ejected', 'probing', 'serving']);
  });

  it('doubles the time after each failed probe up to a bound, and forgets that one by one when it serves well', () => {
    const pool = new Pool(3);
    pool.fail('r0');
    for (let probe = 0; probe < 10; probe += 1) {
      pool.nowMs += ejectMsMax;
      expect(pool.health.probeDue(pool.nowMs)).toBe('r0');
      pool.request('r0', 'failed');
    }
    const times = pool.changes.filter(({ state }) => state === 'ejected').map((change) => change.ejectedMs);
    expect(times.slice(0, 6)).toEqual([1, 2, 4, 8, 16, 30].map((factor) => factor * ejectMs));
    expect(Math.max(...times)).toBe(ejectMsMax);
    pool.nowMs += ejectMsMax;
    pool.health.probeDue(pool.nowMs);
    for (let probe = 0; probe < probes; probe += 1) pool.request('r0', 'ok');
    for (let step = 0; step < 10; step += 1) {
      pool.nowMs += HEALTH_SETTINGS.forgetMs;
      pool.health.compare(pool.nowMs);
    }
    expect(pool.health.view('r0')).toEqual({ state: 'serving', reason: null });
    pool.fail('r0');
    expect(pool.changes.at(-1)?.ejectedMs).toBe(ejectMs);
  });
});

/** A time per token that is affine in the running sequences, as engines' steps are. */
const tokensAt = (fixedMs: number, eachMs: number, running: number, slower = 1): HealthSamples => {
  const ms = (fixedMs + eachMs * running) * slower;
  return { tokens: { ms, load: running, soldMs: fixedMs + eachMs * 32 } };
};

describe('slow replicas', () => {
  it('much slower than its peers and than what was sold, with the same load: ejected, and again until it is well', () => {
    const pool = new Pool(4);
    const round = () => {
      for (const id of pool.ids) pool.request(id, 'ok', tokensAt(20, 0.5, 16, id === 'r0' ? 6 : 1));
      pool.nowMs += 1_000;
      pool.health.compare(pool.nowMs);
    };
    for (let time = 0; time < 8; time += 1) round();
    expect(pool.changes).toEqual([{ replicaId: 'r0', state: 'ejected', reason: 'slow_tokens', ejectedMs: ejectMs }]);
    pool.nowMs += ejectMs;
    pool.health.probeDue(pool.nowMs);
    for (let probe = 0; probe < probes; probe += 1) pool.request('r0', 'ok', tokensAt(20, 0.5, 16, 6));
    expect(pool.health.view('r0')?.state).toBe('ejected');
    pool.nowMs += 2 * ejectMs;
    pool.health.probeDue(pool.nowMs);
    for (let probe = 0; probe < probes; probe += 1) pool.request('r0', 'ok', tokensAt(20, 0.5, 16));
    expect(pool.out).toEqual([]);
  });

  it('slower than its peers, but as fast as what was sold: stays', () => {
    const pool = new Pool(4);
    for (let time = 0; time < 20; time += 1) {
      for (const id of pool.ids)
        pool.request(id, 'ok', { firstToken: { ms: id === 'r0' ? 100 : 10, load: 1, soldMs: 90 } });
      pool.nowMs += 1_000;
      pool.health.compare(pool.nowMs);
    }
    expect(pool.out).toEqual([]);
  });

  it('with nothing but requests that get no answer: stalled, before any of them is out of time', () => {
    const pool = new Pool(2);
    pool.health.began('r0', 0, 10_000);
    pool.health.began('r0', 9_000, 12_000);
    pool.health.compare(12_000);
    expect(pool.out).toEqual([]);
    pool.health.progressed('r0', 12_000);
    pool.health.compare(24_000);
    expect(pool.out).toEqual([]);
    pool.health.compare(25_000);
    expect(pool.changes).toMatchObject([{ replicaId: 'r0', reason: 'stalled' }]);
  });

  // The claim of pace.ts: whatever the engine's step and however unlike the loads, sound peers are never taken for slow.
  it('never are those that only have other loads', () => {
    const loads = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(
        loads,
        fc.double({ min: 0.1, max: 50, noNaN: true }),
        fc.double({ min: 0, max: 5, noNaN: true }),
        (all, a, b) => {
          const pool = new Pool(all.length);
          for (let time = 0; time < 20; time += 1) {
            all.forEach((running, at) => {
              const { tokens } = tokensAt(a, b, running);
              // Even where the profile promised far too much.
              pool.request(`r${at}`, 'ok', {
                tokens: { ...tokens!, soldMs: 0.01 },
                firstToken: { ...tokens!, soldMs: 0.01 },
              });
            });
            pool.nowMs += 1_000;
            pool.health.compare(pool.nowMs);
          }
          expect(pool.changes).toEqual([]);
        },
      ),
    );
  });
});

describe('any sequence of ends', () => {
  const step = fc.record({
    replica: fc.nat(5),
    end: fc.constantFrom<HealthEnd>('ok', 'failed', 'unreachable', 'abandoned'),
    ms: fc.double({ min: 0.1, max: 10_000, noNaN: true }),
    waitMs: fc.nat(5_000),
  });

  it('keeps at most half out, one probe at a time, bounded times; all serve again soon after the fault is over', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 120 }), (count, steps) => {
        const pool = new Pool(count);
        const { health } = pool;
        for (const { replica, end, ms, waitMs } of steps) {
          pool.nowMs += waitMs;
          health.compare(pool.nowMs);
          const id = health.probeDue(pool.nowMs) ?? `r${replica % count}`;
          const epoch = health.began(id, pool.nowMs, 10_000);
          if (health.view(id)?.state === 'probing') expect(health.probeDue(pool.nowMs)).not.toBe(id);
          health.ended(id, epoch, pool.nowMs, end, { firstToken: { ms, load: 1, soldMs: 1 } });
          expect(pool.out.length).toBeLessThanOrEqual(count / 2);
        }
        for (const { ejectedMs } of pool.changes) expect(ejectedMs).toBeLessThanOrEqual(ejectMsMax);
        // A state lasts: nothing flaps faster than its time.
        const ejections = pool.changes.filter(({ state }) => state === 'ejected');
        expect(ejections.length).toBe(health.ejectionsTotal);
        for (let time = 0; time < count * probes; time += 1) {
          pool.nowMs += ejectMsMax;
          const id = health.probeDue(pool.nowMs);
          if (id !== null) pool.request(id, 'ok', { firstToken: { ms: 1, load: 1, soldMs: 1 } });
        }
        expect(health.badCount).toBe(0);
      }),
    );
  });

  it('forgets replicas that are gone, and takes those that are unknown', () => {
    const pool = new Pool(4);
    pool.fail('r0');
    pool.health.keep(new Set(['r1', 'r2', 'r3']), 0);
    expect([pool.health.badCount, pool.health.view('r0'), pool.health.serves('r0')]).toEqual([0, null, true]);
    pool.request('r0', 'failed');
    pool.health.keep(new Set(pool.ids), 0);
    expect(pool.health.view('r0')).toEqual({ state: 'serving', reason: null });
  });

  it('with more than half bad, all serve; with one replica, it always does', () => {
    const pool = new Pool(4);
    for (const id of ['r0', 'r1']) pool.fail(id);
    expect([pool.out, pool.health.panic]).toEqual([['r0', 'r1'], false]);
    pool.fail('r2');
    expect([pool.out, pool.health.panic]).toEqual([[], true]);
    const single = new Pool(1);
    single.fail('r0', 100);
    expect(single.out).toEqual([]);
  });
});
