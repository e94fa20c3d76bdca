import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ACCESS_TRANSITIONS, accessAfter, mayBuy } from './access.ts';
import { APPLICATION_TRANSITIONS, applicationAfter } from './application.ts';
import { GROUP_TRANSITIONS, groupAfter } from './group.ts';
import { isOrderState, ORDER_TRANSITIONS, type OrderEvent, orderAfter } from './order.ts';
import type { TransitionTable } from './transition.ts';

describe('orders', () => {
  test('the way of an order that succeeds', () => {
    const events: OrderEvent[] = ['place', 'pay', 'provision', 'succeed'];
    expect(events.reduce(orderAfter, 'draft')).toBe('active');
  });

  test.each(['draft', 'pending_payment', 'paid', 'provisioning'] as const)('%s can be cancelled', (state) => {
    expect(orderAfter(state, 'cancel')).toBe('cancelled');
  });

  test('what cannot happen says what could', () => {
    expect(() => orderAfter('draft', 'succeed')).toThrow(
      expect.objectContaining({
        code: 'invalid_transition',
        message: 'The order is draft: it cannot succeed. Possible now: place, cancel.',
      }),
    );
    expect(() => orderAfter('active', 'cancel')).toThrow('The order is active: it cannot cancel. That is final.');
    expect([isOrderState('paid'), isOrderState('toString')]).toEqual([true, false]);
  });
});

describe('instance groups', () => {
  test('a resize ends active either way, and nothing comes back from the end', () => {
    expect(groupAfter(groupAfter('active', 'resize'), 'resized')).toBe('active');
    expect(groupAfter(groupAfter('active', 'resize'), 'resize_failed')).toBe('active');
    expect(() => groupAfter('unsubscribed', 'ready')).toThrow('instance group is unsubscribed');
    expect(() => groupAfter('resizing', 'resize')).toThrow(
      'Possible now: resized, resize failed, unsubscribe, reclaim.',
    );
  });
});

/** Every state can be reached from the first, and from every state a final one. */
function checkTable<S extends string, E extends string>(
  table: TransitionTable<S, E>,
  first: S,
  finals: readonly S[],
): void {
  const next = (state: S) => (Object.values(table[state]) as (S | null)[]).filter((other) => other !== null);
  const reach = (from: S): Set<S> => {
    const seen = new Set<S>([from]);
    for (const state of seen) for (const other of next(state)) seen.add(other);
    return seen;
  };
  const states = Object.keys(table) as S[];
  expect([...reach(first)].toSorted()).toEqual(states.toSorted());
  for (const state of states) {
    expect(finals.some((final) => reach(state).has(final))).toBe(true);
    expect(next(state).length === 0).toBe(finals.includes(state));
  }
}

describe('applications and access', () => {
  test('an application is decided once', () => {
    for (const event of ['approve', 'refuse', 'withdraw'] as const) {
      const decided = applicationAfter('pending', event);
      expect(() => applicationAfter(decided, 'approve')).toThrow('That is final.');
    }
  });

  test('access is granted and revoked any number of times, and never twice the same', () => {
    expect(accessAfter(accessAfter(accessAfter('undecided', 'grant'), 'revoke'), 'grant')).toBe('granted');
    expect(() => accessAfter('granted', 'grant')).toThrow('Possible now: revoke.');
    expect(() => accessAfter('revoked', 'revoke')).toThrow('Possible now: grant.');
    expect(Object.keys(ACCESS_TRANSITIONS)).toEqual(['undecided', 'granted', 'revoked']);
  });

  test.each([
    ['open', true, true, false],
    ['by_application', false, true, false],
  ] as const)('%s: undecided %s, granted %s, revoked %s', (policy, undecided, granted, revoked) => {
    expect(mayBuy(policy, 'undecided')).toBe(undecided);
    expect(mayBuy(policy, 'granted')).toBe(granted);
    expect(mayBuy(policy, 'revoked')).toBe(revoked);
  });
});

test('the tables are whole', () => {
  checkTable(APPLICATION_TRANSITIONS, 'pending', ['approved', 'refused', 'withdrawn']);
  checkTable(ORDER_TRANSITIONS, 'draft', ['active', 'cancelled', 'failed']);
  checkTable(GROUP_TRANSITIONS, 'provisioning', ['unsubscribed', 'reclaimed', 'failed']);
});

test('no sequence of events takes an order out of a final state', () => {
  const events = Object.keys(ORDER_TRANSITIONS.draft) as OrderEvent[];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 30 }), (sequence) => {
      let final: string | null = null;
      let state: keyof typeof ORDER_TRANSITIONS = 'draft';
      for (const event of sequence) {
        try {
          state = orderAfter(state, event);
        } catch {
          continue;
        }
        expect(final).toBeNull();
        if (['active', 'cancelled', 'failed'].includes(state)) final = state;
      }
    }),
  );
});
