import { accessApply } from './access/apply.ts';
import { accessGrant } from './access/grant.ts';
import { accessRevoke } from './access/revoke.ts';
import { accessShow } from './access/show.ts';
import { adapterAdd } from './adapter/add.ts';
import { adapterList } from './adapter/list.ts';
import { adapterRemove } from './adapter/remove.ts';
import { agreementAccept } from './agreement/accept.ts';
import { agreementList } from './agreement/list.ts';
import { agreementShow } from './agreement/show.ts';
import { applicationApprove } from './application/approve.ts';
import { applicationList } from './application/list.ts';
import { applicationRefuse } from './application/refuse.ts';
import { applicationWithdraw } from './application/withdraw.ts';
import { auditList } from './audit/list.ts';
import { billCorrect } from './billing/correct.ts';
import { billExport } from './billing/export.ts';
import { billList } from './billing/list.ts';
import { billPreview } from './billing/preview.ts';
import { billSettle } from './billing/settle-now.ts';
import { billShow } from './billing/show.ts';
import { budgetList } from './budget/list.ts';
import { budgetRemove } from './budget/remove.ts';
import { budgetSet } from './budget/set.ts';
import { budgetState } from './budget/state.ts';
import { calculatorRun } from './calculator/run.ts';
import { channelCreate } from './channel/create.ts';
import { channelList } from './channel/list.ts';
import { channelRemove } from './channel/remove.ts';
import { channelTest } from './channel/test-channel.ts';
import { channelUpdate } from './channel/update.ts';
import { chargebackShow } from './chargeback/show.ts';
import { deliveryList } from './delivery/list.ts';
import { deliveryRetry } from './delivery/retry.ts';
import { scalingDecisions } from './elastic/decisions.ts';
import { scalingUnits } from './elastic/list-units.ts';
import { rulePreview } from './elastic/preview.ts';
import { ruleRemove } from './elastic/remove.ts';
import { ruleSet } from './elastic/set.ts';
import { ruleShow } from './elastic/show.ts';
import { endpointCreate } from './endpoint/create.ts';
import { endpointDelete } from './endpoint/delete.ts';
import { endpointList } from './endpoint/list.ts';
import { endpointPreview } from './endpoint/preview.ts';
import { endpointShow } from './endpoint/show.ts';
import { endpointUpdate } from './endpoint/update.ts';
import { groupAutoRenew } from './group/auto-renew.ts';
import { groupList } from './group/list.ts';
import { groupShow } from './group/show.ts';
import { invitationList } from './invitation/list.ts';
import { invitationRevoke } from './invitation/revoke.ts';
import { keyCreate } from './key/create.ts';
import { keyList } from './key/list.ts';
import { keyRevoke } from './key/revoke.ts';
import { keyUpdate } from './key/update.ts';
import { limitApprove } from './limit/approve.ts';
import { limitList } from './limit/list.ts';
import { limitRefuse } from './limit/refuse.ts';
import { limitRequest } from './limit/request.ts';
import { limitSet } from './limit/set.ts';
import { limitShow } from './limit/show.ts';
import { meShow } from './me/show.ts';
import { memberAccept } from './member/accept.ts';
import { memberInvite } from './member/invite.ts';
import { memberList } from './member/list.ts';
import { memberRemove } from './member/remove.ts';
import { memberUpdate } from './member/update.ts';
import { modelList } from './model/list.ts';
import { modelRegister } from './model/register.ts';
import { modelRegistered } from './model/registered.ts';
import { modelRemove } from './model/remove.ts';
import { modelShow } from './model/show.ts';
import { noticeList } from './notice/list.ts';
import { noticeMarkRead } from './notice/mark-read.ts';
import { noticePreferences } from './notice/preferences.ts';
import { noticeSetPreferences } from './notice/set-preferences.ts';
import { operatorInvite } from './operator/invite.ts';
import { operatorList } from './operator/list.ts';
import { operatorRemove } from './operator/remove.ts';
import { orderList } from './order/list.ts';
import { orderNew } from './order/new.ts';
import { orderPreviewNew } from './order/preview-new.ts';
import { orderPreviewRenew } from './order/preview-renew.ts';
import { orderPreviewResize } from './order/preview-resize.ts';
import { orderPreviewUnsubscribe } from './order/preview-unsubscribe.ts';
import { orderRenew } from './order/renew.ts';
import { orderResize } from './order/resize.ts';
import { orderShow } from './order/show.ts';
import { orderUnsubscribe } from './order/unsubscribe.ts';
import { overflowSet } from './overflow/set.ts';
import { overflowShow } from './overflow/show.ts';
import { poolCreate } from './pool/create.ts';
import { poolList } from './pool/list.ts';
import { poolRemove } from './pool/remove.ts';
import { poolResize } from './pool/resize.ts';
import { priceBookDiff } from './price-book/diff.ts';
import { priceBookExport } from './price-book/export.ts';
import { priceBookImport } from './price-book/import.ts';
import { priceBookList } from './price-book/list.ts';
import { priceList } from './price-book/prices.ts';
import { priceBookShow } from './price-book/show.ts';
import { priceBookWithdraw } from './price-book/withdraw.ts';
import { quotaApply } from './quota/apply.ts';
import { quotaList } from './quota/list.ts';
import { quotaSet } from './quota/set.ts';
import { replicaList } from './replica/list.ts';
import { rolloutBack } from './rollout/back.ts';
import { rolloutStart } from './rollout/start.ts';
import { rolloutStatus } from './rollout/status.ts';
import { serverAdopt } from './server/adopt.ts';
import { serverList } from './server/list.ts';
import { serverRemove } from './server/remove.ts';
import { statementExport } from './statement/export.ts';
import { statementShow } from './statement/show.ts';
import { templateList } from './template/list.ts';
import { templateShow } from './template/show.ts';
import { tenantCreate } from './tenant/create.ts';
import { tenantList } from './tenant/list.ts';
import { tenantShow } from './tenant/show.ts';
import { tokenCreate } from './token/create.ts';
import { tokenList } from './token/list.ts';
import { tokenRevoke } from './token/revoke.ts';
import { upstreamCreate } from './upstream/create.ts';
import { upstreamList } from './upstream/list.ts';
import { upstreamRemove } from './upstream/remove.ts';
import { usageExport } from './usage/export.ts';
import { usageList } from './usage/list.ts';
import { usageSummary } from './usage/summary.ts';
import type { Verb } from './verb.ts';
import { walletEntries } from './wallet/entries.ts';
import { walletShow } from './wallet/show.ts';
import { walletTopUp } from './wallet/top-up.ts';

/** Everything that can be done. HTTP, OpenAPI and the CLI are made from this list. */
export const verbs: readonly Verb[] = [
  tenantCreate,
  tenantList,
  tenantShow,
  walletTopUp,
  walletShow,
  walletEntries,
  keyCreate,
  keyList,
  keyUpdate,
  keyRevoke,
  accessShow,
  accessApply,
  accessGrant,
  accessRevoke,
  agreementShow,
  agreementAccept,
  agreementList,
  quotaList,
  quotaApply,
  quotaSet,
  applicationList,
  applicationApprove,
  applicationRefuse,
  applicationWithdraw,
  modelList,
  modelShow,
  modelRegister,
  modelRegistered,
  modelRemove,
  templateList,
  templateShow,
  priceList,
  priceBookList,
  priceBookShow,
  priceBookDiff,
  priceBookImport,
  priceBookExport,
  priceBookWithdraw,
  calculatorRun,
  endpointPreview,
  endpointCreate,
  endpointList,
  endpointShow,
  endpointUpdate,
  endpointDelete,
  adapterAdd,
  adapterList,
  adapterRemove,
  orderPreviewNew,
  orderPreviewResize,
  orderPreviewRenew,
  orderPreviewUnsubscribe,
  orderNew,
  orderResize,
  orderRenew,
  orderUnsubscribe,
  orderList,
  orderShow,
  groupList,
  groupShow,
  groupAutoRenew,
  ruleSet,
  rulePreview,
  ruleShow,
  ruleRemove,
  scalingDecisions,
  scalingUnits,
  poolCreate,
  poolList,
  poolResize,
  poolRemove,
  limitRequest,
  limitApprove,
  limitRefuse,
  limitSet,
  limitList,
  limitShow,
  noticeList,
  noticeMarkRead,
  noticePreferences,
  noticeSetPreferences,
  overflowSet,
  overflowShow,
  rolloutStart,
  rolloutBack,
  rolloutStatus,
  upstreamCreate,
  upstreamList,
  upstreamRemove,
  channelCreate,
  channelList,
  channelUpdate,
  channelRemove,
  channelTest,
  deliveryList,
  deliveryRetry,
  usageExport,
  usageList,
  usageSummary,
  billList,
  billShow,
  billPreview,
  billExport,
  billCorrect,
  billSettle,
  statementShow,
  chargebackShow,
  budgetSet,
  budgetList,
  budgetState,
  budgetRemove,
  statementExport,
  serverAdopt,
  serverList,
  serverRemove,
  replicaList,
  auditList,
  memberInvite,
  memberAccept,
  memberList,
  memberUpdate,
  memberRemove,
  invitationList,
  invitationRevoke,
  tokenCreate,
  tokenList,
  tokenRevoke,
  meShow,
  operatorInvite,
  operatorList,
  operatorRemove,
];
