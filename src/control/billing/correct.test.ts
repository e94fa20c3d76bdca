import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { endpointUpdate } from '../endpoint/update.ts';
import { OPERATOR, refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { at, balanceOf, prepaidWorld } from '../prepaid/fixture.ts';
import { statementExport } from '../statement/export.ts';
import { statementShow } from '../statement/show.ts';
import { walletShow } from '../wallet/show.ts';
import { billCorrect } from './correct.ts';
import { billExport } from './export.ts';
import { billList } from './list.ts';
import { billShow } from './show.ts';

/** One unit of 3.60 an hour from 09:00; bills of 09:00 to 12:00 are issued. */
let control: TestControl;
let tenant: TestTenant;
let groupId: string;
let billId: string;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld('100'));
  groupId = (await control.endpoint(tenant.manager)).groups[0]!.groupId;
  await control.provisioned();
  control.nowMs = at('2026-04-13T13:00');
  await runJobs(control);
  billId = (await control.call(billList, tenant.reader, {})).items[0]!.billId;
});
afterEach(async () => {
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

const correct = (wanted: object = {}, key: string | null = null) =>
  control.call(
    billCorrect,
    OPERATOR,
    { billId, groupId, kind: 'credit', amount: '1', reason: 'an outage', ...wanted },
    key,
  );
const show = () => control.call(billShow, tenant.reader, { billId });
const statement = (month = '2026-04') => control.call(statementShow, tenant.reader, { month });

describe('a correction', () => {
  test('is a posting of its own: the bill stays, bill and statement show the note, the wallet has the money', async () => {
    const before = await show();
    const note = await correct();
    expect(note).toMatchObject({
      kind: 'credit',
      amount: { amount: '-1.000000', currency: 'CNY' },
      reason: 'an outage',
    });
    expect(await show()).toEqual({ ...before, corrections: [note] });
    expect(await balanceOf(control, tenant)).toBe((100 - 3 * 3.6 + 1).toFixed(6));
    const month = await statement();
    expect(month).toMatchObject({ corrections: [note], cost: { amount: (3 * 3.6 - 1).toFixed(6) } });
    const wallet = month.accounts.find((one) => one.account === 'wallet')!;
    expect(wallet.movements).toContainEqual({ kind: 'correction', amount: { amount: '1.000000', currency: 'CNY' } });
  });

  test('counts in the month in which it was issued, not in the bill’s', async () => {
    control.nowMs = at('2026-05-02T00:00');
    await correct({ kind: 'debit', amount: '0.000001' });
    expect((await statement()).corrections).toEqual([]);
    expect((await statement('2026-05')).corrections).toMatchObject([{ kind: 'debit', amount: { amount: '0.000001' } }]);
  });

  test('gives back no more than the line stands at, earlier notes included', async () => {
    await correct({ amount: '3.5' });
    const refused = await refusal(correct({ amount: '0.100001' }));
    expect(refused).toMatchObject({ code: 'conflict', details: { left: '0.100000' } });
    await correct({ kind: 'debit', amount: '1' });
    await correct({ amount: '1.1' });
    expect((await refusal(correct({ amount: '0.000001' }))).code).toBe('conflict');
    expect(await balanceOf(control, tenant)).toBe((100 - 2 * 3.6).toFixed(6));
  });

  test('is made once under one key; the key with another amount is a conflict', async () => {
    const note = await correct({}, 'once');
    expect(await correct({}, 'once')).toEqual(note);
    expect((await refusal(correct({ amount: '2' }, 'once'))).code).toBe('idempotency_conflict');
    expect((await show()).corrections).toHaveLength(1);
  });

  test('that charges more than the wallet holds makes its tenant overdue, and a credit clears it', async () => {
    await correct({ kind: 'debit', amount: '100' });
    expect((await control.call(walletShow, tenant.manager, {})).overdue).toMatchObject({ sinceMs: control.nowMs });
    await correct({ amount: '100' });
    expect((await control.call(walletShow, tenant.manager, {})).overdue).toBeNull();
  });

  test.each([
    [{ amount: '0' }, 'invalid_request'],
    [{ amount: '-1' }, 'invalid_request'],
    [{ amount: '1.0000001' }, 'invalid_request'],
    [{ amount: '1e3' }, 'invalid_request'],
    [{ kind: 'debit', amount: '1000000.000001' }, 'invalid_request'],
    [{ reason: ' ' }, 'invalid_request'],
    [{ kind: 'gift' }, 'invalid_request'],
    [{ groupId: 'ig-none' }, 'not_found'],
    [{ billId: 'bill-none' }, 'not_found'],
  ])('%j is refused and changes nothing', async (wanted, code) => {
    expect((await refusal(correct(wanted))).code).toBe(code);
    expect((await show()).corrections).toEqual([]);
  });
});

describe('a bill on paper', () => {
  const micros = (text: string) => BigInt(text.replace('.', ''));
  const exported = async (format: 'csv' | 'html', language: 'en' | 'zh-CN' | 'pt-BR' = 'en') =>
    control.call(billExport, tenant.reader, { billId, format, language });

  test('the lines of the table add up to the bill, with corrections to what it has cost, and to the ledger', async () => {
    await correct({ amount: '0.5' });
    await correct({ kind: 'debit', amount: '0.25' });
    const { body, filename } = await exported('csv');
    expect(filename).toBe(`${billId}.csv`);
    const [head, ...rows] = body
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(','));
    const column = (name: string) => head!.indexOf(name);
    const sumOf = (kinds: string[]) =>
      rows
        .filter((row) => kinds.includes(row[column('kind')]!))
        .reduce((sum, row) => sum + micros(row[column('amount')]!), 0n);
    const bill = await show();
    expect(sumOf(['line'])).toBe(micros(bill.amount.amount));
    const postings = [bill.transactionId, ...bill.corrections.map((note) => note.transactionId)];
    const entries = await control.store.db
      .selectFrom('ledger_entries')
      .select('amount_micros')
      .where('transaction_id', 'in', postings)
      .where('account', '=', 'wallet')
      .execute();
    expect(sumOf(['line', 'credit', 'debit'])).toBe(-entries.reduce((sum, entry) => sum + entry.amount_micros, 0n));
    const line = rows[0]!;
    const [total, before, amount] = ['amount_total', 'amount_total_before', 'amount'].map((name) =>
      micros(line[column(name)]!),
    );
    expect(total! - before!).toBe(amount);
  });

  test('the table, column by column', async () => {
    const { body } = await exported('csv');
    const [head, line] = body.split('\r\n');
    expect(head).toBe(
      'bill_id,tenant_id,tenant,zone,hour_from,hour_to,issued_at,transaction_id,kind,correction_id,group_id,endpoint_id,endpoint,price_versions,unit_seconds,unit_seconds_total,amount_total_before,amount_total,amount,currency,explanation,model_id,requests,input_tokens,cached_tokens,output_tokens',
    );
    const hour = '2026-04-13 11:00:00+08:00,2026-04-13 12:00:00+08:00,2026-04-13 13:00:00+08:00';
    const ids = { bill: billId, tenant: tenant.tenantId, transaction: (await show()).transactionId };
    expect(line).toMatch(
      `${ids.bill},${ids.tenant},acme,Asia/Shanghai,${hour},${ids.transaction},line,,${groupId},ep-`,
    );
    expect(line).toMatch(
      /,chat,2026-04,3600,10800,7\.200000,10\.800000,3\.600000,CNY,"3,600 s × 1 unit × 3\.600000 CNY/,
    );
  });

  test.each([
    ['en', 'Bill', 'Credit note', 'Total with corrections'],
    ['zh-CN', '账单', '贷项通知', '更正后合计'],
    ['pt-BR', 'Fatura', 'Nota de crédito', 'Total com correções'],
  ] as const)(
    'the page in %s: words, arithmetic, zone, price book, dates, totals',
    async (language, title, note, total) => {
      await correct({ reason: '<script>alert("x")</script> & co' });
      const { body, contentType } = await exported('html', language);
      expect(contentType).toBe('text/html; charset=utf-8');
      for (const part of [`<html lang="${language}">`, `<h1>${title} ${billId}</h1>`, note, `<td>${total}</td>`])
        expect(body).toContain(part);
      for (const part of ['acme', 'Asia/Shanghai', '2026-04-13 13:00:00+08:00', '<td>2026-04</td>', '2.600000 CNY'])
        expect(body).toContain(part);
      expect(body).toContain('3,600 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 3.600000 CNY (10.800000 − 7.200000)');
      expect(body).toContain('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; co');
      expect(body).not.toMatch(/<script|https?:|src=|@import|url\(/);
    },
  );

  test('a statement on paper: its rows add up to the month', async () => {
    await correct({ amount: '0.5', reason: '=cmd()' });
    const file = (format: 'csv' | 'html') => control.call(statementExport, tenant.reader, { month: '2026-04', format });
    const { body, filename } = await file('csv');
    expect(filename).toBe(`statement-2026-04-${tenant.tenantId}.csv`);
    const [head, ...rows] = body
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(','));
    const cost = rows
      .filter((row) => row[0] !== 'account')
      .reduce((sum, row) => sum + micros(row[head!.indexOf('amount')]!), 0n);
    expect(cost).toBe(micros((await statement()).cost.amount));
    expect(rows.at(-1)![head!.indexOf('explanation')]).toBe("'=cmd()");
    const page = (await file('html')).body;
    for (const part of ['Opening balance', 'Closing balance', 'Credit note', '10.300000 CNY', '=cmd()'])
      expect(page).toContain(part);
  });

  test('over HTTP it is a file that no browser runs', async () => {
    const path = `/api/v1/bills/${billId}/export?format=html&language=zh-CN`;
    const { status, headers, body } = await control.http('GET', path, { token: tenant.readerKey });
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(headers.get('content-disposition')).toBe(`attachment; filename="${billId}.html"`);
    expect(headers.get('content-security-policy')).toContain('sandbox');
    expect(body['text']).toMatch(/^<!doctype html>/);
    const csv = await control.http('GET', `/api/v1/bills/${billId}/export`, { token: tenant.readerKey });
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect((await control.http('GET', `${path}&format=pdf`, { token: tenant.readerKey })).status).toBe(400);
  });

  test('still names the endpoint and the price that it had', async () => {
    await control.call(endpointUpdate, tenant.manager, { endpointId: 'chat', maxWaitMs: 0 });
    expect((await show()).lines).toMatchObject([{ priceVersions: ['2026-04'] }]);
  });
});
