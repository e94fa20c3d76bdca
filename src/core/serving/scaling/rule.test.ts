import { expect, test } from 'vitest';
import { type ElasticRule, faultsOfRule, RULE_DEFAULTS } from './rule.ts';

const good: ElasticRule = { ...RULE_DEFAULTS, minUnits: 1, maxUnits: 4, zone: 'Asia/Shanghai' };
const fields = (rule: ElasticRule) => faultsOfRule(rule).map((fault) => fault.field);

test('a rule with every kind of window has no fault', () => {
  const windows: ElasticRule['windows'] = [
    { kind: 'daily', from: '22:00', to: '06:00', minUnits: 2 },
    { kind: 'weekly', days: [1, 7], from: '09:00', to: '18:00', minUnits: 4 },
    { kind: 'once', date: '2026-11-30', from: '00:00', to: '00:00', minUnits: 4 },
    { kind: 'cron', cron: '0 9 * * 1-5', minutes: 60, minUnits: 3 },
  ];
  expect(faultsOfRule({ ...good, minUnits: 0, windows, ttftMsMax: 2_000, tpotMsMax: 60 })).toEqual([]);
});

test('every fault is named, not only the first', () => {
  const rule: ElasticRule = {
    minUnits: 5,
    maxUnits: 4,
    zone: 'Mars/Olympus',
    scaleInAfterMs: -1,
    drainMsMax: 0.5,
    ttftMsMax: 0,
    tpotMsMax: Number.NaN,
    windows: [
      { kind: 'daily', from: '24:00', to: '6:00', minUnits: 9 },
      { kind: 'weekly', days: [], from: '09:00', to: '10:00', minUnits: 1 },
      { kind: 'weekly', days: [0, 2, 2], from: '09:00', to: '10:00', minUnits: 1 },
      { kind: 'once', date: '2026-02-30', from: '09:00', to: '10:00', minUnits: 1.5 },
      { kind: 'cron', cron: '0 0 9 * * *', minutes: 0, minUnits: 1 },
    ],
  };
  expect(fields(rule)).toEqual([
    'maxUnits',
    'scaleInAfterMs',
    'drainMsMax',
    'ttftMsMax',
    'tpotMsMax',
    'zone',
    'windows.0.minUnits',
    'windows.0.from',
    'windows.0.to',
    'windows.1.days',
    'windows.2.days',
    'windows.2.days',
    'windows.3.minUnits',
    'windows.3.date',
    'windows.4.minutes',
    'windows.4.cron',
  ]);
});

test.each(['+08:00', 'CST', '', 'asia'])('zone "%s" has no rules of summer time and is refused', (zone) => {
  expect(fields({ ...good, zone })).toEqual(['zone']);
});

test('too many windows are refused before they are looked at', () => {
  const windows = Array.from({ length: 51 }, () => ({ kind: 'daily', from: 'x', to: 'y', minUnits: 1 }) as const);
  expect(fields({ ...good, windows })).toEqual(['windows']);
});
