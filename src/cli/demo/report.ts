import type { GatewayStats } from '../../gateway/gateway.ts';
import type { LedgerReport } from '../../store/ledger.ts';
import type { Client } from '../client.ts';
import { grid } from '../render.ts';
import { quantile } from '../screen.ts';
import type { Sent } from './traffic.ts';

export interface Summary {
  readonly items: readonly {
    readonly outcome: string;
    readonly requests: number;
    readonly promptTokens: number;
    readonly cachedTokens: number;
    readonly outputTokens: number;
    readonly estimatedUs: number;
    readonly actualUs: number;
  }[];
}

const seconds = (us: number) => (us / 1e6).toFixed(2);

export function outcomeTable(summary: Summary, sent: Sent): string {
  const rows = summary.items.map((row) => [
    `   ${row.outcome}`,
    String(row.requests),
    String(row.promptTokens),
    String(row.cachedTokens),
    String(row.outputTokens),
    seconds(row.estimatedUs),
    seconds(row.actualUs),
    row.actualUs === 0 ? '–' : (row.estimatedUs / row.actualUs).toFixed(2),
  ]);
  const head = ['   outcome', 'requests', 'prompt', 'cached', 'output', 'estimated s', 'actual s', 'estimate ÷ actual'];
  const of = (values: number[]) => [0.5, 0.95].map((share) => quantile(values, share)?.toFixed(0) ?? '–').join(' / ');
  const ttft = sent.replies.flatMap((reply) => reply.ttftMs ?? []);
  const tpot = sent.replies.flatMap((reply) => reply.tpotMs ?? []);
  const e2e = sent.replies.filter((reply) => reply.status === 200).map((reply) => reply.e2eMs);
  return `${grid([head, ...rows])}\n\n   as the client saw it, p50 / p95: TTFT ${of(ttft)} ms, TPOT ${of(tpot)} ms, whole answer ${of(e2e)} ms`;
}

interface BillAnswer {
  readonly hourFromMs: number;
  readonly issuedAtMs: number;
  readonly amount: { readonly amount: string; readonly currency: string };
  readonly lines: readonly { readonly groupId: string; readonly arithmetic: string }[];
}

export async function billOf(operator: Client, tenantId: string): Promise<string> {
  const list = (await operator.call('GET', `/bills?tenantId=${tenantId}`)) as { items: { billId: string }[] };
  const lines: string[] = [];
  for (const { billId } of [...list.items].reverse()) {
    const bill = (await operator.call('GET', `/bills/${billId}`)) as BillAnswer;
    const at = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
    lines.push(
      `   bill ${billId}, hour from ${at(bill.hourFromMs)} UTC (the demo moved its clock to the time of issue)`,
    );
    for (const line of bill.lines) lines.push(`     ${line.groupId}: ${line.arithmetic}`);
    lines.push(`     total ${bill.amount.amount} ${bill.amount.currency}`);
  }
  const wallet = (await operator.call('GET', `/wallet?tenantId=${tenantId}`)) as {
    balance: { amount: string; currency: string };
  };
  lines.push(`   wallet: 100.000000 − bills = ${wallet.balance.amount} ${wallet.balance.currency}`);
  return lines.join('\n');
}

/** Prints each check with its figures; true when all hold. */
export function judge(facts: { sent: Sent; summary: Summary; ledger: LedgerReport; stats: GatewayStats }): boolean {
  const { sent, summary, ledger, stats } = facts;
  const receipts = summary.items.reduce((sum, row) => sum + row.requests, 0);
  const served = stats.servedModels[0];
  const checks: [ok: boolean, text: string][] = [
    [receipts === sent.replies.length, `${sent.replies.length} requests sent, ${receipts} outcomes recorded, one each`],
    [
      served === undefined || served.reservedUs === served.settledUs + served.returnedUs,
      served === undefined
        ? 'every reservation was settled when the endpoint went'
        : `work reserved ${seconds(served.reservedUs)} s = settled ${seconds(served.settledUs)} s + returned ${seconds(served.returnedUs)} s`,
    ],
    [
      ledger.balanced,
      ledger.balanced
        ? `the ledger balances: ${ledger.transactions} transactions, each sums to zero, bills equal their lines and charges`
        : `the ledger does not balance: ${ledger.problems.join('; ')}`,
    ],
  ];
  console.log('');
  for (const [ok, text] of checks) console.log(`   ${ok ? '✓' : '✗'} ${text}`);
  return checks.every(([ok]) => ok);
}
