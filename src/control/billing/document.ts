import { formatMicros } from '../../core/commerce/money.ts';
import { csvTable } from '../document/csv.ts';
import { renderPage } from '../document/page.ts';
import { instantText } from '../document/time.ts';
import { type Language, wordsOf } from '../document/words.ts';
import type { BillDetail } from './detail.ts';

const COLUMNS = [
  ...['bill_id', 'tenant_id', 'tenant', 'zone', 'hour_from', 'hour_to', 'issued_at', 'transaction_id'],
  ...['kind', 'correction_id', 'group_id', 'endpoint_id', 'endpoint', 'price_versions', 'unit_seconds'],
  ...['unit_seconds_total', 'amount_total_before', 'amount_total', 'amount', 'currency', 'explanation'],
  ...['model_id', 'requests', 'input_tokens', 'cached_tokens', 'output_tokens'],
] as const;

/**
 * A row for each line of units (`line`) or tokens (`tokens`) and each correction; `amount` adds up to what the bill has cost. A line is `amount_total` (since
 * the group's or endpoint's start) − `amount_total_before`. New columns come last.
 */
export function billCsv({ bill, tenant, lines, tokenLines, corrections }: BillDetail): string {
  const head = {
    bill_id: bill.id,
    tenant_id: tenant.id,
    tenant: tenant.name,
    zone: tenant.zone,
    hour_from: instantText(bill.hour_from_ms, tenant.zone),
    hour_to: instantText(bill.hour_to_ms, tenant.zone),
    currency: bill.currency,
  };
  return csvTable(COLUMNS, [
    ...lines.map((line) => ({
      ...head,
      issued_at: instantText(bill.issued_at_ms, tenant.zone),
      transaction_id: bill.transaction_id,
      kind: 'line',
      group_id: line.group_id,
      endpoint_id: line.endpoint_id,
      endpoint: line.endpoint_name,
      price_versions: line.priceVersions.join(' '),
      unit_seconds: line.unit_seconds,
      unit_seconds_total: line.unit_seconds_total,
      amount_total_before: formatMicros(line.amount_total_micros - line.amount_micros),
      amount_total: formatMicros(line.amount_total_micros),
      amount: formatMicros(line.amount_micros),
      explanation: line.arithmetic,
    })),
    ...tokenLines.map((line) => ({
      ...head,
      issued_at: instantText(bill.issued_at_ms, tenant.zone),
      transaction_id: bill.transaction_id,
      kind: 'tokens',
      endpoint_id: line.endpoint_id,
      endpoint: line.endpoint_name,
      amount_total_before: formatMicros(line.amount_total_micros - line.amount_micros),
      amount_total: formatMicros(line.amount_total_micros),
      amount: formatMicros(line.amount_micros),
      explanation: line.arithmetic,
      model_id: line.model_id,
      requests: line.requests,
      input_tokens: line.input_tokens,
      cached_tokens: line.cached_tokens,
      output_tokens: line.output_tokens,
    })),
    ...corrections.map((note) => ({
      ...head,
      issued_at: instantText(note.issued_at_ms, tenant.zone),
      transaction_id: note.transaction_id,
      kind: note.amount_micros < 0n ? 'credit' : 'debit',
      correction_id: note.id,
      group_id: note.group_id,
      amount: formatMicros(note.amount_micros),
      explanation: note.reason,
    })),
  ]);
}

export function billPage(detail: BillDetail, language: Language): string {
  const { bill, tenant, lines, tokenLines, corrections } = detail;
  const total = `${formatMicros(bill.amount_micros)} ${bill.currency}`;
  const word = wordsOf(language);
  const when = (ms: number) => instantText(ms, tenant.zone);
  const correctedMicros = corrections.reduce((sum, note) => sum + note.amount_micros, bill.amount_micros);
  return renderPage({
    language,
    title: `${word('bill')} ${bill.id}`,
    facts: [
      [word('tenant'), `${tenant.name} (${tenant.id})`],
      [word('period'), `${when(bill.hour_from_ms)} – ${when(bill.hour_to_ms)}`],
      [word('zone'), tenant.zone],
      [word('issuedAt'), when(bill.issued_at_ms)],
      [word('currency'), bill.currency],
      [word('posting'), bill.transaction_id],
    ],
    sections: [
      {
        heading: word('lines'),
        head: [
          ...[word('group'), word('endpoint'), word('priceVersion')],
          ...[word('unitSeconds'), word('arithmetic'), word('amount')],
        ],
        rows: lines.map((line) => [
          ...[line.group_id, line.endpoint_name, line.priceVersions.join(', '), String(line.unit_seconds)],
          ...[arithmeticOf(line), formatMicros(line.amount_micros)],
        ]),
        numbers: [3, 5],
        ...(tokenLines.length === 0 ? { total: [word('total'), '', '', '', '', total] } : {}),
      },
      ...(tokenLines.length === 0 ? [] : [tokensSection(detail, language, total)]),
      ...(corrections.length === 0 ? [] : [notesSection(detail, language, correctedMicros)]),
    ],
    notes: [word('howBilled')],
  });
}

function tokensSection({ tokenLines }: BillDetail, language: Language, total: string) {
  const word = wordsOf(language);
  return {
    heading: word('tokens'),
    head: [word('endpoint'), word('model'), word('requests'), word('arithmetic'), word('amount')],
    rows: tokenLines.map((line) => [
      ...[line.endpoint_name, line.model_id, String(line.requests)],
      ...[line.arithmetic, formatMicros(line.amount_micros)],
    ]),
    numbers: [2, 4],
    total: [word('total'), '', '', '', total],
  };
}

/** Every line shows the difference that it is, also where that is only its own sum. */
function arithmeticOf({ arithmetic, amount_total_micros, amount_micros }: BillDetail['lines'][number]): string {
  if (arithmetic.includes(' − ')) return arithmetic;
  return `${arithmetic} (${formatMicros(amount_total_micros)} − ${formatMicros(amount_total_micros - amount_micros)})`;
}

function notesSection({ bill, tenant, corrections }: BillDetail, language: Language, correctedMicros: bigint) {
  const word = wordsOf(language);
  return {
    heading: word('corrections'),
    head: [word('note'), word('issuedAt'), word('group'), word('reason'), word('amount')],
    rows: corrections.map((note) => [
      `${word(note.amount_micros < 0n ? 'credit' : 'debit')} ${note.id}`,
      ...[instantText(note.issued_at_ms, tenant.zone), note.group_id, note.reason, formatMicros(note.amount_micros)],
    ]),
    numbers: [4],
    total: [word('totalCorrected'), '', '', '', `${formatMicros(correctedMicros)} ${bill.currency}`],
  };
}
