import { Temporal } from 'temporal-polyfill';
import type { Language, NoticeKind } from './notice.ts';

/**
 * The wording of every kind of notice: [title, body], plain data for e-mail, webhooks and the console. `{name}` stands for
 * a field of the notice's detail, or its `subject`; a name that ends in `AtMs` or `Ms` is written as a time of the
 * tenant's zone, an amount with its currency.
 */
type Wording = readonly [title: string, body: string];

const WORDINGS: Readonly<Record<NoticeKind | 'test', Readonly<Record<Language, Wording>>>> = {
  expiring: {
    en: [
      'Prepaid units expire in {daysLeft} days',
      'Instance group {subject} ({units} units of endpoint {endpointId}) expires at {expiresAtMs}. Renew it to keep the units; unless renewed they are taken back at {reclaimAtMs}.',
    ],
    'zh-CN': [
      '预付费模型单元将在 {daysLeft} 天后到期',
      '实例组 {subject}（接入点 {endpointId}，{units} 个模型单元）将于 {expiresAtMs} 到期。如需继续使用请续费；未续费的单元将于 {reclaimAtMs} 回收。',
    ],
    'pt-BR': [
      'Unidades pré-pagas expiram em {daysLeft} dias',
      'O grupo de instâncias {subject} ({units} unidades do endpoint {endpointId}) expira em {expiresAtMs}. Renove-o para manter as unidades; sem renovação elas são retomadas em {reclaimAtMs}.',
    ],
  },
  expired: {
    en: [
      'Prepaid units have expired',
      'Instance group {subject} ({units} units of endpoint {endpointId}) expired at {expiresAtMs}. It can be renewed until {reclaimAtMs}; then the units are taken back.',
    ],
    'zh-CN': [
      '预付费模型单元已到期',
      '实例组 {subject}（接入点 {endpointId}，{units} 个模型单元）已于 {expiresAtMs} 到期。{reclaimAtMs} 之前仍可续费，之后单元将被回收。',
    ],
    'pt-BR': [
      'Unidades pré-pagas expiraram',
      'O grupo de instâncias {subject} ({units} unidades do endpoint {endpointId}) expirou em {expiresAtMs}. Pode ser renovado até {reclaimAtMs}; depois as unidades são retomadas.',
    ],
  },
  reclaimed: {
    en: [
      'Expired units were taken back',
      'Instance group {subject} of endpoint {endpointId} was taken back at {reclaimAtMs}. The endpoint keeps its settings: buy a new group to serve again.',
    ],
    'zh-CN': [
      '到期的模型单元已回收',
      '接入点 {endpointId} 的实例组 {subject} 已于 {reclaimAtMs} 回收。接入点配置保留，重新购买实例组即可恢复服务。',
    ],
    'pt-BR': [
      'Unidades expiradas foram retomadas',
      'O grupo de instâncias {subject} do endpoint {endpointId} foi retomado em {reclaimAtMs}. O endpoint mantém a configuração: compre um novo grupo para voltar a servir.',
    ],
  },
  renewed: {
    en: [
      'Prepaid units were renewed',
      'Instance group {subject} was renewed by itself for {months} months. It now expires at {expiresAtMs}.',
    ],
    'zh-CN': ['预付费模型单元已自动续费', '实例组 {subject} 已自动续费 {months} 个月，新的到期时间为 {expiresAtMs}。'],
    'pt-BR': [
      'Unidades pré-pagas foram renovadas',
      'O grupo de instâncias {subject} foi renovado automaticamente por {months} meses. Agora expira em {expiresAtMs}.',
    ],
  },
  renew_failed: {
    en: [
      'Automatic renewal failed',
      'Instance group {subject} could not be renewed: {reason} It expires at {expiresAtMs}; renewal is tried again once a day until {reclaimAtMs}.',
    ],
    'zh-CN': [
      '自动续费失败',
      '实例组 {subject} 未能自动续费：{reason} 到期时间为 {expiresAtMs}；在 {reclaimAtMs} 之前每天重试一次。',
    ],
    'pt-BR': [
      'A renovação automática falhou',
      'O grupo de instâncias {subject} não pôde ser renovado: {reason} Ele expira em {expiresAtMs}; nova tentativa uma vez por dia até {reclaimAtMs}.',
    ],
  },
  overdue: {
    en: [
      'The wallet is overdue',
      'The balance is below zero since {sinceMs}. Top up by {reclaimAtMs}, or the postpaid units are taken back then.',
    ],
    'zh-CN': ['账户已欠费', '账户自 {sinceMs} 起欠费。请在 {reclaimAtMs} 之前充值，否则后付费模型单元将被回收。'],
    'pt-BR': [
      'A carteira está em atraso',
      'O saldo está abaixo de zero desde {sinceMs}. Faça uma recarga até {reclaimAtMs}; depois as unidades pós-pagas são retomadas.',
    ],
  },
  overdue_cleared: {
    en: ['The wallet is no longer overdue', 'The balance that was below zero since {sinceMs} is settled.'],
    'zh-CN': ['欠费已结清', '自 {sinceMs} 起的欠费已结清。'],
    'pt-BR': ['A carteira não está mais em atraso', 'O saldo negativo desde {sinceMs} foi quitado.'],
  },
  overdue_reclaimed: {
    en: [
      'Postpaid units were taken back',
      'The wallet stayed overdue since {sinceMs}: the units of {groupIds} were taken back and are billed no more. The endpoints keep their settings.',
    ],
    'zh-CN': [
      '后付费模型单元已回收',
      '账户自 {sinceMs} 起持续欠费，实例组 {groupIds} 的单元已回收并停止计费。接入点配置保留。',
    ],
    'pt-BR': [
      'Unidades pós-pagas foram retomadas',
      'A carteira ficou em atraso desde {sinceMs}: as unidades de {groupIds} foram retomadas e não são mais cobradas. Os endpoints mantêm a configuração.',
    ],
  },
  bill_issued: {
    en: ['Bills of {amount}', '{bills} bills were issued for the hours from {fromMs} to {toMs}: {amount} in all.'],
    'zh-CN': ['账单金额 {amount}', '{fromMs} 至 {toMs} 的用量已出账，共 {bills} 张账单，合计 {amount}。'],
    'pt-BR': [
      'Faturas de {amount}',
      '{bills} faturas foram emitidas para as horas de {fromMs} a {toMs}: {amount} no total.',
    ],
  },
  order_failed: {
    en: [
      'An order failed',
      'Order {subject} ({units} units, instance group {groupId}, endpoint {endpointId}) failed: {failure} What was paid for it is paid back in full.',
    ],
    'zh-CN': [
      '订单失败',
      '订单 {subject}（实例组 {groupId}，接入点 {endpointId}，{units} 个模型单元）失败：{failure} 已支付的金额全额退还。',
    ],
    'pt-BR': [
      'Um pedido falhou',
      'O pedido {subject} ({units} unidades, grupo {groupId}, endpoint {endpointId}) falhou: {failure} O valor pago é devolvido por inteiro.',
    ],
  },
  quota_decided: {
    en: ['Quota request: {decision}', 'The request for {units} units of template {about}: {decision}. {note}'],
    'zh-CN': ['配额申请：{decision}', '模板 {about} 的 {units} 个模型单元的配额申请：{decision}。{note}'],
    'pt-BR': ['Pedido de cota: {decision}', 'O pedido de {units} unidades do modelo {about}: {decision}. {note}'],
  },
  access_decided: {
    en: ['Access to model units: {decision}', 'The application for model units: {decision}. {note}'],
    'zh-CN': ['模型单元邀测申请：{decision}', '模型单元使用申请：{decision}。{note}'],
    'pt-BR': ['Acesso a unidades de modelo: {decision}', 'A solicitação de unidades de modelo: {decision}. {note}'],
  },
  limit_decided: {
    en: ['Limit request: {state}', 'The request for other limits on model {modelId}: {state}. {note}'],
    'zh-CN': ['限流申请：{state}', '模型 {modelId} 的限流申请：{state}。{note}'],
    'pt-BR': ['Pedido de limite: {state}', 'O pedido de outros limites no modelo {modelId}: {state}. {note}'],
  },
  scaling_stuck: {
    en: ['Scaling is stuck', 'Endpoint {endpointId} does not get the units that its elastic rule asks for: {reason}'],
    'zh-CN': ['弹性伸缩受阻', '接入点 {endpointId} 未能获得弹性规则所需的模型单元：{reason}'],
    'pt-BR': [
      'O escalonamento está parado',
      'O endpoint {endpointId} não recebe as unidades que a regra de elasticidade pede: {reason}',
    ],
  },
  scaling_quota_cut: {
    en: [
      'Units are taken back: the quota is too low',
      'The quota for template {templateId} no longer covers the units that scaling added to instance group {subject} of endpoint {endpointId}: {units} are taken back. Units that were ordered stay. Ask for a higher quota to keep more.',
    ],
    'zh-CN': [
      '配额不足，正在回收模型单元',
      '模板 {templateId} 的配额已不足以覆盖接入点 {endpointId} 的实例组 {subject} 由弹性伸缩增加的单元：正在回收 {units} 个。已订购的单元不受影响。如需保留更多单元，请申请提高配额。',
    ],
    'pt-BR': [
      'Unidades são retomadas: a cota é baixa demais',
      'A cota do modelo {templateId} já não cobre as unidades que o escalonamento adicionou ao grupo de instâncias {subject} do endpoint {endpointId}: {units} são retomadas. As unidades encomendadas ficam. Peça uma cota maior para manter mais.',
    ],
  },
  budget_threshold: {
    en: [
      'Budget: {percent} % of {amount} spent',
      'In {month}, {spent} of the budget of {amount} for {scope} are spent: {percent} % is reached.',
    ],
    'zh-CN': [
      '预算已用 {percent} %（预算 {amount}）',
      '{month} 月，{scope} 的预算 {amount} 已使用 {spent}，达到 {percent} %。',
    ],
    'pt-BR': [
      'Orçamento: {percent} % de {amount} gastos',
      'Em {month}, {spent} do orçamento de {amount} para {scope} foram gastos: {percent} % atingidos.',
    ],
  },
  utilization_high: {
    en: [
      'Endpoint {endpointName} is nearly full',
      'Endpoint {endpointName} ({subject}, model {modelId}) has used over {percent} % of its units’ capacity for {seconds} s: {nowPercent} % now. Add units, or requests will wait or be refused.',
    ],
    'zh-CN': [
      '接入点 {endpointName} 负载接近上限',
      '接入点 {endpointName}（{subject}，模型 {modelId}）已连续 {seconds} 秒使用超过 {percent} % 的模型单元容量，当前为 {nowPercent} %。请增加模型单元，否则请求将排队或被拒绝。',
    ],
    'pt-BR': [
      'O endpoint {endpointName} está quase cheio',
      'O endpoint {endpointName} ({subject}, modelo {modelId}) usou mais de {percent} % da capacidade das suas unidades durante {seconds} s: {nowPercent} % agora. Adicione unidades, ou requisições vão esperar ou ser recusadas.',
    ],
  },
  rollout_aborted: {
    en: [
      'A rollout went back by itself',
      'Served model {servedModelId} of endpoint {endpointId} had {percent} % of the traffic and has none now: {reason}.',
    ],
    'zh-CN': [
      '灰度发布已自动回退',
      '接入点 {endpointId} 的接入模型 {servedModelId} 曾占 {percent} % 流量，现已降为 0：{reason}。',
    ],
    'pt-BR': [
      'Uma implantação gradual voltou atrás sozinha',
      'O modelo atendido {servedModelId} do endpoint {endpointId} tinha {percent} % do tráfego e agora não tem nenhum: {reason}.',
    ],
  },
  test: {
    en: ['Test notice', 'This channel works: notices of Cubit arrive here.'],
    'zh-CN': ['测试通知', '此渠道可用：Cubit 的通知将发送到这里。'],
    'pt-BR': ['Aviso de teste', 'Este canal funciona: os avisos do Cubit chegam aqui.'],
  },
};

export interface WordedNotice {
  readonly title: string;
  readonly body: string;
}

/** A notice in words. `zone` (IANA) is the one that times are written in; what the detail lacks is written as “–”. */
export function noticeText(
  notice: {
    readonly kind: NoticeKind | 'test';
    readonly subject: string;
    readonly detail: Readonly<Record<string, unknown>>;
  },
  { language, zone }: { readonly language: Language; readonly zone: string },
): WordedNotice {
  const values = { ...notice.detail, subject: notice.subject };
  const [title, body] = WORDINGS[notice.kind][language];
  return { title: fill(title, values, zone), body: fill(body, values, zone).trim() };
}

function fill(template: string, values: Readonly<Record<string, unknown>>, zone: string): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => written(name, values, zone));
}

function written(name: string, values: Readonly<Record<string, unknown>>, zone: string): string {
  const value = values[name];
  if (value === undefined || value === null) return name === 'reason' || name === 'note' ? '' : '–';
  if (typeof value === 'number' && name.endsWith('Ms')) return `${wallTime(value, zone)} (${zone})`;
  if (Array.isArray(value)) return value.join(', ') || '–';
  if (typeof value === 'object') {
    const { amount, currency } = value as { amount?: unknown; currency?: unknown };
    return `${String(amount)} ${String(currency)}`;
  }
  return String(value);
}

/** `2026-05-14 12:00` */
function wallTime(atMs: number, zone: string): string {
  const time = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone).toPlainDateTime();
  return time.toString({ smallestUnit: 'minute' }).replace('T', ' ');
}
