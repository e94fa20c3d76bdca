/** What a tenant is told. `notice-text.ts` words each kind. */
export const NOTICE_KINDS = [
  'expiring',
  'expired',
  'reclaimed',
  'renewed',
  'renew_failed',
  'overdue',
  'overdue_cleared',
  'overdue_reclaimed',
  'bill_issued',
  'order_failed',
  'quota_decided',
  'access_decided',
  'limit_decided',
  'scaling_stuck',
  'scaling_quota_cut',
  'budget_threshold',
  'utilization_high',
  'rollout_aborted',
] as const;

export type NoticeKind = (typeof NOTICE_KINDS)[number];

export const LANGUAGES = ['en', 'zh-CN', 'pt-BR'] as const;

export type Language = (typeof LANGUAGES)[number];
