import { auditList } from './audit/list.ts';
import { billCorrect } from './billing/correct.ts';
import { billExport } from './billing/export.ts';
import { billList } from './billing/list.ts';
import { billPreview } from './billing/preview.ts';
import { billSettle } from './billing/settle-now.ts';
import { billShow } from './billing/show.ts';
import { calculatorRun } from './calculator/run.ts';
import { endpointCreate } from './endpoint/create.ts';
import { endpointDelete } from './endpoint/delete.ts';
import { endpointList } from './endpoint/list.ts';
import { endpointPreview } from './endpoint/preview.ts';
import { endpointShow } from './endpoint/show.ts';
import { endpointUpdate } from './endpoint/update.ts';
import { groupAutoRenew } from './group/auto-renew.ts';
import { groupList } from './group/list.ts';
import { groupShow } from './group/show.ts';
import { keyCreate } from './key/create.ts';
import { keyList } from './key/list.ts';
import { keyRevoke } from './key/revoke.ts';
import { modelList } from './model/list.ts';
import { modelShow } from './model/show.ts';
import { noticeList } from './notice/list.ts';
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
import { priceBookDiff } from './price-book/diff.ts';
import { priceBookExport } from './price-book/export.ts';
import { priceBookImport } from './price-book/import.ts';
import { priceBookList } from './price-book/list.ts';
import { priceList } from './price-book/prices.ts';
import { priceBookShow } from './price-book/show.ts';
import { priceBookWithdraw } from './price-book/withdraw.ts';
import { replicaList } from './replica/list.ts';
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
  keyRevoke,
  modelList,
  modelShow,
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
  noticeList,
  usageList,
  usageSummary,
  billList,
  billShow,
  billPreview,
  billExport,
  billCorrect,
  billSettle,
  statementShow,
  statementExport,
  serverAdopt,
  serverList,
  serverRemove,
  replicaList,
  auditList,
];
