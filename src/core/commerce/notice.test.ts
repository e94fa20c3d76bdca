import { describe, expect, test } from 'vitest';
import { ATTEMPTS_MAX, retryWaitMs } from './delivery.ts';
import { LANGUAGES, NOTICE_KINDS } from './notice.ts';
import { noticeText } from './notice-text.ts';

const EXPIRES = Date.parse('2026-05-14T12:00:00+08:00');
const detail = { daysLeft: 7, units: 2, endpointId: 'ep-1', expiresAtMs: EXPIRES, reclaimAtMs: EXPIRES + 86_400_000 };

describe('wording', () => {
  test('names subject, amounts and times of the zone', () => {
    const notice = { kind: 'expiring', subject: 'ig-1', detail } as const;
    expect(noticeText(notice, { language: 'en', zone: 'Asia/Shanghai' })).toEqual({
      title: 'Prepaid units expire in 7 days',
      body: 'Instance group ig-1 (2 units of endpoint ep-1) expires at 2026-05-14 12:00 (Asia/Shanghai). Renew it to keep the units; unless renewed they are taken back at 2026-05-15 12:00 (Asia/Shanghai).',
    });
    expect(noticeText(notice, { language: 'zh-CN', zone: 'Asia/Shanghai' }).title).toBe(
      '预付费模型单元将在 7 天后到期',
    );
    expect(noticeText(notice, { language: 'pt-BR', zone: 'America/Sao_Paulo' }).body).toContain('2026-05-14 01:00');
  });

  test('money with its currency, lists with commas, what is missing as a dash', () => {
    const money = { amount: '12.500000', currency: 'CNY' };
    const en = { language: 'en', zone: 'UTC' } as const;
    expect(noticeText({ kind: 'bill_issued', subject: 't-1', detail: { amount: money } }, en).title).toBe(
      'Bills of 12.500000 CNY',
    );
    const taken = noticeText({ kind: 'overdue_reclaimed', subject: 't-1', detail: { groupIds: ['ig-1', 'ig-2'] } }, en);
    expect(taken.body).toMatch(/since –: the units of ig-1, ig-2 were/);
  });

  test.each(NOTICE_KINDS)('%s is worded in every language, with the same facts', (kind) => {
    const empty = { kind, subject: 's-1', detail: {} };
    const texts = LANGUAGES.map((language) => noticeText(empty, { language, zone: 'UTC' }));
    expect(new Set(texts.map(({ title }) => title)).size).toBe(LANGUAGES.length);
    const dashes = texts.map(({ title, body }) => (title + body).split('–').length);
    expect(new Set(dashes).size).toBe(1);
    for (const { title, body } of texts) expect(title + body).not.toMatch(/[{}]/);
  });
});

describe('retries', () => {
  test('waits grow fourfold up to six hours and end after ten attempts', () => {
    const waits = Array.from({ length: ATTEMPTS_MAX }, (_, i) => retryWaitMs(i + 1, 0.5));
    expect(waits.slice(0, 6)).toEqual([10_000, 40_000, 160_000, 640_000, 2_560_000, 10_240_000]);
    expect(waits.slice(6)).toEqual([21_600_000, 21_600_000, 21_600_000, null]);
  });

  test('the whole of it lasts about a day, whatever the dice say', () => {
    for (const random of [0, 0.999999]) {
      let hours = 0;
      for (let n = 1; n < ATTEMPTS_MAX; n++) hours += retryWaitMs(n, random)! / 3_600_000;
      expect(hours).toBeGreaterThan(16);
      expect(hours).toBeLessThan(28);
    }
  });
});
