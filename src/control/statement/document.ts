import type { z } from 'zod';
import { csvTable } from '../document/csv.ts';
import { renderPage } from '../document/page.ts';
import { instantText } from '../document/time.ts';
import { type Language, nameOf, wordsOf } from '../document/words.ts';
import type { Statement } from './month.ts';

export type StatementFacts = z.output<typeof Statement> & {
  /** Its name. */
  readonly tenant: string;
  readonly madeAtMs: number;
};

const COLUMNS = [
  ...['section', 'month', 'zone', 'tenant_id', 'tenant', 'account', 'movement', 'group_id', 'billing_type'],
  ...['unit_seconds', 'bill_id', 'correction_id', 'issued_at', 'amount', 'currency', 'explanation'],
  ...['endpoint_id', 'model_id', 'requests', 'input_tokens', 'cached_tokens', 'output_tokens'],
] as const;

/**
 * Rows of four kinds, `section`: `account` (opening, each movement, closing), `group`, `tokens` and `correction`; the
 * amounts of the last three add up to the month's cost. New columns come last.
 */
export function statementCsv(statement: StatementFacts): string {
  const { month, zone, tenantId, tenant } = statement;
  const head = { month, zone, tenant_id: tenantId, tenant };
  return csvTable(COLUMNS, [
    ...statement.accounts.flatMap(({ account, opening, movements, closing }) =>
      [{ kind: 'opening', amount: opening }, ...movements, { kind: 'closing', amount: closing }].map(
        ({ kind, amount }) => ({ section: 'account', ...head, account, movement: kind, ...amount }),
      ),
    ),
    ...statement.groups.map(({ groupId, billingType, unitSeconds, cost }) => ({
      section: 'group',
      ...head,
      group_id: groupId,
      billing_type: billingType,
      unit_seconds: unitSeconds,
      ...cost,
    })),
    ...statement.tokens.map((line) => ({
      section: 'tokens',
      ...head,
      endpoint_id: line.endpointId,
      model_id: line.modelId,
      requests: line.requests,
      input_tokens: line.inputTokens,
      cached_tokens: line.cachedTokens,
      output_tokens: line.outputTokens,
      ...line.cost,
    })),
    ...statement.corrections.map((note) => ({
      section: 'correction',
      ...head,
      group_id: note.groupId,
      bill_id: note.billId,
      correction_id: note.correctionId,
      issued_at: instantText(note.issuedAtMs, zone),
      ...note.amount,
      explanation: note.reason,
    })),
  ]);
}

export function statementPage(statement: StatementFacts, language: Language): string {
  const { month, zone, tenantId, tenant, fromMs, toMs, madeAtMs, cost } = statement;
  const word = wordsOf(language);
  return renderPage({
    language,
    title: `${word('statement')} ${month}`,
    facts: [
      [word('tenant'), `${tenant} (${tenantId})`],
      [word('period'), `${instantText(fromMs, zone)} – ${instantText(toMs, zone)}`],
      [word('zone'), zone],
      [word('madeAt'), instantText(madeAtMs, zone)],
      [word('currency'), cost.currency],
    ],
    sections: [
      {
        heading: word('accounts'),
        head: [word('account'), word('movement'), word('amount')],
        rows: statement.accounts.flatMap(({ account, opening, movements, closing }) => [
          [nameOfAccount(language, account), word('opening'), opening.amount],
          ...movements.map(({ kind, amount }) => ['', nameOf(language, kind), amount.amount]),
          ['', word('closing'), closing.amount],
        ]),
        numbers: [2],
      },
      {
        heading: word('groups'),
        head: [word('group'), word('billingType'), word('unitSeconds'), word('amount')],
        rows: statement.groups.map((group) => [
          ...[group.groupId, word(group.billingType), String(group.unitSeconds ?? '–'), group.cost.amount],
        ]),
        numbers: [2, 3],
        ...(statement.corrections.length + statement.tokens.length === 0
          ? { total: [word('total'), '', '', `${cost.amount} ${cost.currency}`] }
          : {}),
      },
      ...(statement.tokens.length === 0 ? [] : [tokensSection(statement, language)]),
      ...(statement.corrections.length === 0 ? [] : [notesSection(statement, language)]),
    ],
    notes: [word('howStated'), word('howBilled')],
  });
}

/** An account is not the movement of the same name. */
function nameOfAccount(language: Language, account: string): string {
  return account === 'wallet' || account === 'cash' || account === 'unearned' || account === 'revenue'
    ? wordsOf(language)(account)
    : account;
}

function tokensSection({ tokens, corrections, cost }: StatementFacts, language: Language) {
  const word = wordsOf(language);
  return {
    heading: word('tokens'),
    head: [word('endpoint'), word('model'), word('requests'), word('amount')],
    rows: tokens.map((line) => [line.endpointId, line.modelId, String(line.requests), line.cost.amount]),
    numbers: [2, 3],
    ...(corrections.length === 0 ? { total: [word('total'), '', '', `${cost.amount} ${cost.currency}`] } : {}),
  };
}

function notesSection({ corrections, zone, cost }: StatementFacts, language: Language) {
  const word = wordsOf(language);
  return {
    heading: word('corrections'),
    head: [word('note'), word('issuedAt'), word('bill'), word('group'), word('reason'), word('amount')],
    rows: corrections.map((note) => [
      ...[`${word(note.kind)} ${note.correctionId}`, instantText(note.issuedAtMs, zone), note.billId],
      ...[note.groupId, note.reason, note.amount.amount],
    ]),
    numbers: [5],
    total: [word('total'), '', '', '', '', `${cost.amount} ${cost.currency}`],
  };
}
