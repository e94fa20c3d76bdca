import { setTimeout as pause } from 'node:timers/promises';
import type { z } from 'zod';
import { DEFAULT_MODEL_ID, DEFAULT_TEMPLATE_ID } from '../catalog/default.ts';
import { CubitError } from '../core/errors.ts';
import { accessGrant } from './access/grant.ts';
import { accessShow } from './access/show.ts';
import { agreementAccept } from './agreement/accept.ts';
import { agreementShow } from './agreement/show.ts';
import { endpointCreate } from './endpoint/create.ts';
import type { EndpointView } from './endpoint/schemas.ts';
import { endpointShow } from './endpoint/show.ts';
import { type Facts, factsOf } from './facts.ts';
import type { Db } from './internal.ts';
import { keyCreate } from './key/create.ts';
import { keyList } from './key/list.ts';
import { keyRevoke } from './key/revoke.ts';
import { orderList } from './order/list.ts';
import { orderNew } from './order/new.ts';
import { quotaList } from './quota/list.ts';
import { quotaSet } from './quota/set.ts';
import { tenantCreate } from './tenant/create.ts';
import type { Verb } from './verb.ts';
import { walletTopUp } from './wallet/top-up.ts';

const NAME = 'demo';
const CREDIT = '1000';
const POLL_MS = 100;
const READY_MS_MAX = 1_200_000;

/** Calls a verb as the operator. */
export type SeedCall = <I extends z.ZodObject, O extends z.ZodType>(
  verb: Verb<I, O>,
  input: z.input<I>,
  idempotencyKey: string | null,
) => Promise<z.output<O>>;

/** null: the demo endpoint or its units were given up, and that is left as it is. */
export type Demo = {
  readonly tenantId: string;
  /** What requests say as `model`. */
  readonly endpoint: string;
  /** Only when it was made now. */
  readonly apiKey: string | null;
} | null;

interface Seed {
  readonly call: SeedCall;
  readonly facts: Facts;
  readonly say: (line: string) => void;
}

/**
 * Sells the first unit: tenant, credit, agreement, endpoint with one unit, key. Through the ordinary verbs, and each step at most
 * once however often this runs and wherever it is killed; a failed unit is ordered anew. Resolves when the unit is
 * ready. Throws `engine_unavailable` with the reason when it cannot be started.
 */
export async function seedDemo(parts: {
  readonly call: SeedCall;
  readonly db: Db;
  readonly say: (line: string) => void;
}): Promise<Demo> {
  const seed: Seed = { call: parts.call, facts: factsOf(parts.db), say: parts.say };
  const tenantId = await demoTenant(seed);
  await acceptAgreement(seed, tenantId);
  const known = await seed.facts.get('demo-endpoint');
  const endpointId = known ?? (await demoEndpoint(seed, tenantId));
  if (known !== null && !(await unitIsKept(seed, tenantId, endpointId))) {
    seed.say('The demo endpoint has no unit any more; that is left as it is.');
    return null;
  }
  await untilReady(seed, tenantId, endpointId);
  return { tenantId, endpoint: NAME, apiKey: await demoKey(seed, tenantId) };
}

async function demoTenant({ call, facts }: Seed): Promise<string> {
  const known = await facts.get('demo-tenant');
  if (known !== null) return known;
  const { tenantId } = await call(tenantCreate, { name: NAME }, 'seed-tenant');
  await call(walletTopUp, { tenantId, amount: CREDIT, reference: 'demo credit' }, 'seed-top-up');
  await facts.set('demo-tenant', tenantId);
  return tenantId;
}

/** Whoever starts a demo stands in for its tenant. */
async function acceptAgreement({ call, say }: Seed, tenantId: string): Promise<void> {
  const agreement = await orNull(() => call(agreementShow, { tenantId }, null));
  if (agreement === null || agreement.acceptance !== null) return;
  say(`Accepting “${agreement.title}”, version ${agreement.version}, for the tenant ${NAME}.`);
  await call(agreementAccept, { tenantId, version: agreement.version }, null);
}

/** Where tenants have to apply for access, or have no quota by default, the demo has the operator's word. */
async function allowOneUnit({ call }: Seed, tenantId: string): Promise<void> {
  const { mayBuy, state } = await call(accessShow, { tenantId }, null);
  if (!mayBuy && state === 'undecided') await call(accessGrant, { tenantId, note: NAME }, null);
  const templateId = DEFAULT_TEMPLATE_ID;
  const [quota] = (await call(quotaList, { tenantId, templateId }, null)).items;
  if (quota?.limitUnits === 0 && quota.source !== 'tenant') {
    await call(quotaSet, { tenantId, templateId, units: 1, note: NAME }, null);
  }
}

async function demoEndpoint(seed: Seed, tenantId: string): Promise<string> {
  const { call, facts, say } = seed;
  await allowOneUnit(seed, tenantId);
  say(`Ordering one unit of ${DEFAULT_MODEL_ID} for the tenant ${NAME}.`);
  const models = [{ modelId: DEFAULT_MODEL_ID, templateId: DEFAULT_TEMPLATE_ID, units: 1 }];
  const { endpointId } = await call(endpointCreate, { tenantId, name: NAME, models }, 'seed-endpoint');
  await facts.set('demo-endpoint', endpointId);
  return endpointId;
}

/** False when somebody deleted the endpoint or unsubscribed its units. Orders anew what failed. */
async function unitIsKept({ call, say }: Seed, tenantId: string, endpointId: string): Promise<boolean> {
  const endpoint = await showOrNull(call, tenantId, endpointId);
  if (endpoint === null) return false;
  if (endpoint.state !== 'stopped') return true;
  const last = await lastOrder(call, tenantId, endpointId);
  if (last?.state !== 'failed') return false;
  say(`The last order failed (${last.failure}); ordering the unit again.`);
  await call(orderNew, { tenantId, endpointId, units: 1 }, `seed-order-after-${last.orderId}`);
  return true;
}

async function untilReady({ call, say }: Seed, tenantId: string, endpointId: string): Promise<void> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  let said = false;
  while (performance.now() < deadlineMs) {
    const endpoint = await showOrNull(call, tenantId, endpointId);
    if (endpoint?.groups.some((group) => group.state !== 'provisioning' && group.unitsReady > 0)) return;
    if (endpoint === null || endpoint.state === 'stopped') {
      const failure = (await lastOrder(call, tenantId, endpointId))?.failure ?? 'it was given up meanwhile';
      throw new CubitError('engine_unavailable', `The demo's unit could not be started. ${failure}`);
    }
    if (!said) say('Starting the unit …');
    said = true;
    await pause(POLL_MS);
  }
  throw new CubitError('engine_unavailable', `The demo's unit was not ready within ${READY_MS_MAX / 60_000} minutes.`);
}

/**
 * Made last, when there is something to call. A key that was made but whose fact was not (a kill in between) may never
 * have been shown: it is revoked for a new one.
 */
async function demoKey({ call, facts }: Seed, tenantId: string): Promise<string | null> {
  if ((await facts.get('demo-key')) !== null) return null;
  const { items } = await call(keyList, { tenantId }, null);
  for (const { keyId, name, revokedAtMs } of items) {
    if (name === NAME && revokedAtMs === null) await call(keyRevoke, { keyId }, null);
  }
  const { keyId, key } = await call(keyCreate, { tenantId, name: NAME, scope: 'inference' }, null);
  await facts.set('demo-key', keyId);
  return key;
}

function showOrNull(call: SeedCall, tenantId: string, endpointId: string): Promise<EndpointView | null> {
  return orNull(() => call(endpointShow, { tenantId, endpointId }, null));
}

async function orNull<T>(show: () => Promise<T>): Promise<T | null> {
  try {
    return await show();
  } catch (error) {
    if (error instanceof CubitError && error.code === 'not_found') return null;
    throw error;
  }
}

/** The order of the endpoint that was placed last. */
async function lastOrder(call: SeedCall, tenantId: string, endpointId: string) {
  const { items } = await call(orderList, { tenantId, endpointId, limit: 1 }, null);
  return items[0];
}
