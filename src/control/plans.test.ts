import { CompiledQuery, createQueryId, type KyselyPlugin, type RootOperationNode } from 'kysely';
import { expect, test } from 'vitest';
import { settle } from './billing/settle.ts';
import { newId } from './call.ts';
import { OPERATOR, testControl } from './fixture.ts';
import { keyCreate } from './key/create.ts';
import { verbs } from './registry.ts';
import { replicaList } from './replica/list.ts';
import type { Actor } from './verb.ts';
import { walletEntries } from './wallet/entries.ts';
import { walletShow } from './wallet/show.ts';

/** Tables that grow as long as the installation is used, read from end to end; along an index up to a limit is not that. */
const WHOLE_TABLE =
  /\bSCAN (audit|applications|agreement|receipts|orders|instance_groups|bill|ledger|idempotency|served|notices|deliveries|usage)\w*(?! USING)\b/;
const SORT = /TEMP B-TREE FOR .*ORDER BY/;

type Work = (control: Awaited<ReturnType<typeof testControl>>) => Promise<unknown>;

/** Runs the work and returns how SQLite reads each of its statements. */
async function plansOf(work: Work, prepare: Work = async () => {}) {
  const control = await testControl();
  await prepare(control);
  const nodes: RootOperationNode[] = [];
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      nodes.push(node);
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const { db } = control.store;
  control.deps = { ...control.deps, db: db.withPlugin(plugin) };
  await work(control);
  const plans: string[] = [];
  for (const node of nodes) {
    const { sql, parameters } = db.getExecutor().compileQuery(node, createQueryId());
    if (sql.startsWith('insert')) continue;
    const { rows } = await db.executeQuery(CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]));
    plans.push(`${rows.map((row) => (row as { detail: string }).detail).join(' | ')}   of   ${sql}`);
  }
  expect(plans.length).toBeGreaterThan(0);
  return plans;
}

const page = { cursor: Buffer.from('[1,"x"]').toString('base64url') };
const someone = { tenantId: 't-1' };

test.each([
  ['audit.list', [{}, page, someone, { ...someone, ...page }, { subject: 'ep-1' }]],
  ['application.list', [{}, page, someone, { state: 'pending' }]],
  ['agreement.list', [{}, page, someone]],
  ['bill.list', [{}, page, someone]],
  ['key.list', [someone]],
  ['order.list', [{}, page, someone, { endpointId: 'ep-1' }, { groupId: 'ig-1' }]],
  ['group.list', [{}, page, someone]],
  ['notice.list', [{}, page, someone, { ...someone, ...page }, { ...someone, unread: true }]],
  ['delivery.list', [{}, page, someone, { channelId: 'chn-1' }]],
  ['channel.list', [{}, someone]],
  ['usage.list', [{}, page, someone, { ...someone, outcome: 'completed' }, { endpointId: 'ep-1' }]],
  ['usage.export', [{}, page, someone, { ...someone, ...page }, { endpointId: 'ep-1' }]],
  ['usage.summary', [{}, someone, { endpointId: 'ep-1' }]],
] as const)('%s reads what it shows, not the whole table', async (name, inputs) => {
  const verb = verbs.find((one) => one.name === name)!;
  for (const input of inputs) {
    const plans = await plansOf((control) => control.call(verb, OPERATOR, input));
    for (const plan of plans) {
      expect(plan, JSON.stringify(input)).not.toMatch(WHOLE_TABLE);
      expect(plan, JSON.stringify(input)).not.toMatch(SORT);
    }
  }
});

test('a wallet, a bill run, running units and an Idempotency-Key cost the same after years', async () => {
  let manager: Actor = OPERATOR;
  const plans = await plansOf(
    async (control) => {
      expect((await settle({ ...control.deps, newId })).bills).toBe(2);
      await control.call(walletShow, manager, {});
      await control.call(walletEntries, manager, {});
      await control.call(keyCreate, manager, { name: 'x' }, 'once');
      expect((await control.call(replicaList, manager, {})).items).toHaveLength(1);
    },
    async (control) => {
      ({ manager } = await control.tenant());
      await control.endpoint(manager);
      await control.provisioned();
      control.nowMs += 3 * 3_600_000;
    },
  );
  for (const plan of plans) expect(plan).not.toMatch(WHOLE_TABLE);
  expect(plans.find((plan) => plan.includes('delete from "idempotency"'))).toContain('tenant_id_created_at_ms');
});
