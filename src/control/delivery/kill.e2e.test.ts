import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { notify } from '../../store/notices.ts';
import { openStore } from '../../store/store.ts';
import { newId } from '../call.ts';
import { httpReceiver } from './fixture.ts';
import { webhookSecret } from './webhook.ts';

const KILLS = 8;
const NOTICES = 40;
const MESSAGES_PER_LIFE = 4;

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Delivers until it is killed. Arguments: the database as JSON, and what its clock says at the start. */
const PROCESS = `
  import { openStore } from ${moduleUrl('../../store/store.ts')};
  import { startDeliverer } from ${moduleUrl('./deliverer.ts')};
  import { createSender } from ${moduleUrl('./sender.ts')};
  const { db } = await openStore(JSON.parse(process.argv[1]));
  const offsetMs = Number(process.argv[2]) - Date.now();
  startDeliverer({
    db,
    sender: createSender({ webhookAllow: '127.0.0.1', smtp: null }),
    log: { info() {}, error: (fields) => console.error(fields) },
    now: () => Date.now() + offsetMs,
    random: Math.random,
  });
  setInterval(() => {}, 1000);
`;

test('a kill -9 in the middle of sending loses no notice, and what comes twice has one id', async () => {
  const database = await testDatabase();
  const store = await openStore(database);
  const receiver = await httpReceiver();
  const startMs = Date.now();
  const tenant = { id: 't-1', name: 'acme', zone: 'UTC', currency: 'CNY', created_at_ms: 1 };
  await store.db.insertInto('tenants').values(tenant).execute();
  const channel = { id: 'chn-1', tenant_id: 't-1', kind: 'webhook', name: 'ops', state: 'active' } as const;
  const secret = webhookSecret(Buffer.alloc(32, 7));
  await store.db
    .insertInto('channels')
    .values({ ...channel, url: receiver.url, secret, created_at_ms: 1 })
    .execute();
  for (let n = 0; n < NOTICES; n++) {
    const notice = { tenantId: 't-1', kind: 'expired', subject: `ig-${n}`, dueAtMs: n, detail: {} } as const;
    await store.db.transaction().execute((trx) => notify(trx, { now: () => startMs, newId }, notice));
  }
  const lives: ChildProcess[] = [];
  const live = (clockMs: number) => {
    const args = ['--input-type=module', '-e', PROCESS, JSON.stringify(database), String(clockMs)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    lives.push(child);
    return child;
  };
  const kill = async (child: ChildProcess) => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  for (let n = 1; n <= KILLS; n++) {
    // Later each time, so that what a dead process had claimed is due again.
    const child = live(startMs + n * 120_000);
    const before = receiver.received.length;
    // Every other one dies with a message under way: it was taken, and nobody wrote that down.
    receiver.answer = n % 2 === 0 ? 'hang' : 200;
    const wanted = n % 2 === 0 ? 1 : MESSAGES_PER_LIFE;
    await expect.poll(() => receiver.received.length - before, { timeout: 60_000 }).toBeGreaterThanOrEqual(wanted);
    await kill(child);
  }
  receiver.answer = 200;
  const last = live(startMs + 100 * 120_000);
  const states = async () =>
    (await store.db.selectFrom('deliveries').select('state').execute()).map((row) => row.state);
  await expect.poll(async () => new Set(await states()), { timeout: 60_000 }).toEqual(new Set(['delivered']));
  await kill(last);
  const ids = (await store.db.selectFrom('notices').select('id').execute()).map(({ id }) => id).sort();
  const received = receiver.received.map(({ headers }) => String(headers['webhook-id']));
  expect([...new Set(received)].sort()).toEqual(ids);
  expect(received.length).toBeGreaterThanOrEqual(NOTICES + KILLS / 2); // what hung came again
  await store.close();
});
