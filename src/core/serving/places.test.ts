import { describe, expect, it } from 'vitest';
import { type Place, Places } from './places.ts';

const of = (id: string, prefillUs = 0, weight = 1): Place => ({ share: { id, weight }, sequences: 1, prefillUs });

/** Lets in as many of one share as may enter, of 8 places; returns how many. */
function fill(places: Places, place: Place, running: number, nowMs: number): number {
  for (let n = 0; ; n += 1) {
    const limits = { places: 8, running: running + n, stepPrefillUs: Number.POSITIVE_INFINITY };
    if (running + n >= 8 || !places.mayTake(place, limits, nowMs)) return n;
    places.took(place, nowMs);
  }
}

describe('places', () => {
  it('gives a share that is alone everything', () => {
    expect(fill(new Places(), of('a'), 0, 0)).toBe(8);
  });

  it('leaves what another used lately, until it has been idle for half a minute', () => {
    const places = new Places();
    for (let n = 0; n < 2; n += 1) places.took(of('quiet'), 0);
    for (let n = 0; n < 2; n += 1) places.left(of('quiet'), 1_000);
    expect(fill(places, of('flood'), 0, 2_000)).toBe(6);
    expect(places.nextEndMs()).toBe(31_000);
    expect(fill(places, of('flood'), 6, 30_999)).toBe(0);
    expect(fill(places, of('flood'), 6, 31_000)).toBe(2);
  });

  it('keeps for one no more than its fair part, by weight', () => {
    const places = new Places();
    for (let n = 0; n < 8; n += 1) places.took(of('greedy'), 0);
    for (let n = 0; n < 8; n += 1) places.left(of('greedy'), 0);
    expect(fill(places, of('flood', 0, 3), 0, 1)).toBe(6);
  });

  it('always lets a share have its own part', () => {
    const places = new Places();
    for (let n = 0; n < 8; n += 1) places.took(of('flood'), 0);
    for (let n = 0; n < 4; n += 1) places.left(of('flood'), 0);
    expect(fill(places, of('late'), 4, 1)).toBe(4);
  });

  it('beside others has one step of prefill without first token, or one request', () => {
    const places = new Places();
    places.took(of('quiet'), 0);
    const limits = { places: 8, running: 1, stepPrefillUs: 100 };
    const long = of('flood', 500);
    expect(places.mayTake(long, limits, 0)).toBe(true);
    places.took(long, 0);
    expect(places.mayTake(of('flood', 1), limits, 0)).toBe(false);
    expect(places.mayTake(of('quiet', 90), limits, 0)).toBe(true);
    places.prefilled(long);
    expect(places.mayTake(of('flood', 1), limits, 0)).toBe(true);
  });
});
