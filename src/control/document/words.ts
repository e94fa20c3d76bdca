import { z } from 'zod';
import { LANGUAGES } from '../../core/commerce/notice.ts';

export const Language = z.enum(LANGUAGES).default('en').describe('Of the page to print');
export type Language = z.output<typeof Language>;

/** The words of printed bills and statements, in one table: a line that lacks a language does not compile. */
const WORDS = {
  bill: ['Bill', '账单', 'Fatura'],
  statement: ['Statement', '月结单', 'Extrato'],
  tenant: ['Tenant', '租户', 'Cliente'],
  period: ['Period', '计费周期', 'Período'],
  zone: ['Time zone', '时区', 'Fuso horário'],
  issuedAt: ['Issued', '出账时间', 'Emitida em'],
  madeAt: ['Made', '生成时间', 'Gerado em'],
  currency: ['Currency', '币种', 'Moeda'],
  posting: ['Ledger transaction', '账务流水号', 'Lançamento contábil'],
  lines: ['Lines', '明细', 'Itens'],
  group: ['Instance group', '实例组', 'Grupo de instâncias'],
  endpoint: ['Endpoint', '推理接入点', 'Endpoint'],
  unitSeconds: ['Unit-seconds', '单元秒', 'Unidades × segundos'],
  priceVersion: ['Price book', '价格版本', 'Tabela de preços'],
  arithmetic: ['Arithmetic', '计算过程', 'Cálculo'],
  amount: ['Amount', '金额', 'Valor'],
  tokens: ['Tokens', '按 Token 计费', 'Tokens'],
  model: ['Model', '模型', 'Modelo'],
  requests: ['Requests', '请求数', 'Solicitações'],
  total: ['Total', '合计', 'Total'],
  corrections: ['Corrections', '更正', 'Correções'],
  note: ['Note', '单据', 'Nota'],
  credit: ['Credit note', '贷项通知', 'Nota de crédito'],
  debit: ['Debit note', '借项通知', 'Nota de débito'],
  reason: ['Reason', '原因', 'Motivo'],
  totalCorrected: ['Total with corrections', '更正后合计', 'Total com correções'],
  accounts: ['Accounts', '账户', 'Contas'],
  account: ['Account', '账户', 'Conta'],
  movement: ['Movement', '变动', 'Movimento'],
  opening: ['Opening balance', '期初余额', 'Saldo inicial'],
  closing: ['Closing balance', '期末余额', 'Saldo final'],
  groups: ['Cost by instance group', '各实例组费用', 'Custo por grupo de instâncias'],
  billingType: ['Billing', '计费方式', 'Cobrança'],
  postpaid: ['by the second', '后付费', 'por segundo'],
  prepaid: ['by the month', '预付费', 'por mês'],
  wallet: ['Wallet', '钱包', 'Carteira'],
  cash: ['Paid in', '充值', 'Pagamentos'],
  unearned: ['Paid ahead', '预收款', 'Pago adiantado'],
  revenue: ['Cost', '已计费用', 'Custo'],
  top_up: ['Top-ups', '充值', 'Recargas'],
  prepaid_posting: ['Terms paid', '预付费购买', 'Prazos pagos'],
  recognition: ['Days passed', '按日确认', 'Dias decorridos'],
  bill_posting: ['Bills', '账单', 'Faturas'],
  refund: ['Refunds', '退款', 'Reembolsos'],
  correction: ['Corrections', '更正', 'Correções'],
  howBilled: [
    'A line is the difference of two sums since the start of its group: unit-seconds × hourly price ÷ 3600, rounded once to the sixth decimal (half to even). So lines always add up to the sum.',
    '每行金额为该实例组自开始计费以来两个累计值之差：单元秒 × 每小时单价 ÷ 3600，仅在第六位小数处舍入一次（四舍六入五成双），因此各行之和始终等于累计值。',
    'Cada item é a diferença de duas somas desde o início do grupo: unidades × segundos × preço por hora ÷ 3600, arredondada uma vez na sexta casa decimal (metade para o par). Assim os itens sempre somam o total.',
  ],
  howStated: [
    'Opening balance + movements = closing balance, of each account. Amounts count when they were booked, in the time zone above.',
    '各账户期初余额 + 变动 = 期末余额。金额按入账时间计入，以上述时区为准。',
    'Saldo inicial + movimentos = saldo final, em cada conta. Os valores contam na data do lançamento, no fuso acima.',
  ],
} as const satisfies Record<string, readonly [en: string, zh: string, pt: string]>;

export type Word = keyof typeof WORDS;

export function wordsOf(language: Language): (word: Word) => string {
  const at = { en: 0, 'zh-CN': 1, 'pt-BR': 2 }[language] as 0 | 1 | 2;
  return (word) => WORDS[word][at];
}

/** A posting's kind or an account in words; one that has none (another part of Cubit wrote it) as it is. */
export function nameOf(language: Language, name: string): string {
  const word = name === 'prepaid' || name === 'bill' ? `${name}_posting` : name;
  return Object.hasOwn(WORDS, word) ? wordsOf(language)(word as Word) : name;
}
