import { beforeEach, describe, expect, test } from 'vitest';
import { notify } from '../../store/notices.ts';
import { newId } from '../call.ts';
import { channelCreate } from '../channel/create.ts';
import { channelList } from '../channel/list.ts';
import { channelRemove } from '../channel/remove.ts';
import { channelTest } from '../channel/test-channel.ts';
import { channelUpdate } from '../channel/update.ts';
import { OPERATOR, refusal, type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { noticeSetPreferences } from '../notice/set-preferences.ts';
import { Deliverer, type DelivererDeps, startDeliverer } from './deliverer.ts';
import { type HttpReceiver, httpReceiver, isSigned, smtpReceiver } from './fixture.ts';
import { deliveryList } from './list.ts';
import { deliveryRetry } from './retry.ts';
import { createSender } from './sender.ts';

const DAY_MS = 86_400_000;
let control: TestControl;
let tenant: TestTenant;
let receiver: HttpReceiver;
beforeEach(async () => {
  control = await testControl();
  tenant = await control.tenant();
  receiver = await httpReceiver();
});

const channel = (more: object = {}) =>
  control.call(channelCreate, tenant.manager, { name: 'ops', webhookUrl: receiver.url, ...more });
const deliverer = (more: Partial<DelivererDeps> = {}) => {
  const { db, sender, log, now } = control.deps;
  return new Deliverer({ db, sender, log, now, random: () => 0.5, ...more });
};
let told = 0;
const tell = (kind: 'expired' | 'overdue' = 'expired', tenantId = tenant.tenantId) =>
  control.store.db
    .transaction()
    .execute((trx) =>
      notify(
        trx,
        { now: () => control.nowMs, newId },
        { tenantId, kind, subject: `ig-${++told}`, dueAtMs: control.nowMs, detail: { units: 2 } },
      ),
    );
async function deliver(one = deliverer(), passes = 1): Promise<void> {
  for (let i = 0; i < passes; i++) {
    await one.pass();
    await one.idle();
  }
}
const deliveries = async () => (await control.call(deliveryList, tenant.manager, { limit: 200 })).items;

describe('webhooks', () => {
  test('a notice arrives signed, with its id, what it is and its words', async () => {
    const { secret } = await channel();
    await control.call(noticeSetPreferences, tenant.manager, { language: 'zh-CN' });
    await tell();
    await deliver();
    const [message] = receiver.received;
    const [delivery] = await deliveries();
    expect(message?.path).toBe('/hook?x=1');
    expect(message?.headers).toMatchObject({
      'webhook-id': delivery?.noticeId,
      'webhook-timestamp': String(control.nowMs / 1000),
      'content-type': 'application/json',
    });
    expect(isSigned(message!, secret!)).toBe(true);
    expect(isSigned({ ...message!, body: `${message!.body} ` }, secret!)).toBe(false);
    expect(JSON.parse(message!.body)).toMatchObject({
      type: 'notice.expired',
      timestamp: new Date(control.nowMs).toISOString(),
      data: {
        noticeId: delivery?.noticeId,
        tenantId: tenant.tenantId,
        title: '预付费模型单元已到期',
        detail: { units: 2 },
      },
    });
    expect(delivery).toMatchObject({ state: 'delivered', attempts: 1, failure: null, nextAttemptAtMs: null });
    await deliver();
    expect(receiver.received).toHaveLength(1);
  });

  test('a failure is tried again under the same id, ever later, about a day, and is then seen as failed', async () => {
    await channel();
    receiver.answer = 500;
    const startMs = control.nowMs;
    await tell();
    const one = deliverer();
    for (let attempt = 1; attempt <= 9; attempt++) {
      await deliver(one);
      const [waiting] = await deliveries();
      expect(waiting).toMatchObject({ state: 'pending', attempts: attempt, failure: 'The receiver answered 500.' });
      control.nowMs = waiting!.nextAttemptAtMs! - 1;
      await deliver(one);
      expect(receiver.received).toHaveLength(attempt);
      control.nowMs += 1;
    }
    await deliver(one);
    expect(await deliveries()).toMatchObject([{ state: 'failed', attempts: 10, endedAtMs: control.nowMs }]);
    expect(control.nowMs - startMs).toBeGreaterThan(0.8 * DAY_MS);
    expect(control.nowMs - startMs).toBeLessThan(1.2 * DAY_MS);
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    receiver.answer = 204;
    const [{ deliveryId } = { deliveryId: '' }] = await deliveries();
    await control.call(deliveryRetry, tenant.manager, { deliveryId });
    await deliver(one);
    expect(await deliveries()).toMatchObject([{ state: 'delivered', attempts: 1 }]);
    expect((await refusal(control.call(deliveryRetry, tenant.manager, { deliveryId }))).code).toBe('conflict');
  });

  test('redirects are not followed', async () => {
    const inside = await httpReceiver();
    receiver.answer = { status: 302, location: inside.url };
    await channel();
    await tell();
    await deliver();
    expect(inside.received).toEqual([]);
    expect((await deliveries())[0]?.failure).toBe('The receiver answered 302; redirects are not followed.');
  });

  test('one that never answers is cut after the time-out and holds nobody up', async () => {
    const sender = createSender({ webhookAllow: '127.0.0.1', smtp: null, timeoutMs: 300 });
    control.deps = { ...control.deps, sender };
    const slow = await channel();
    receiver.answer = 'hang';
    const other = await httpReceiver();
    await control.call(channelCreate, tenant.manager, { name: 'well', webhookUrl: other.url });
    for (let n = 0; n < 5; n++) await tell();
    const one = deliverer({ lanesMax: 2 });
    await one.pass();
    const arrived = async () => {
      await one.pass();
      return other.received.length;
    };
    await expect.poll(arrived).toBe(5);
    await one.idle();
    const waiting = (await deliveries()).filter(({ channelId }) => channelId === slow.channelId);
    expect(waiting.filter(({ state }) => state === 'pending')).toHaveLength(5);
    expect(waiting.find(({ attempts }) => attempts === 1)?.failure).toBe('There was no answer within 0.3 s.');
    await sender.close();
  });

  test('an answer without end counts by its status', async () => {
    await channel();
    receiver.answer = 'drip';
    await tell();
    await deliver();
    expect(await deliveries()).toMatchObject([{ state: 'delivered' }]);
  });

  test('an address inside is not called, whatever was allowed as the channel was made', async () => {
    await channel();
    await tell();
    const sender = createSender({ webhookAllow: '', smtp: null });
    await deliver(deliverer({ sender }));
    expect(receiver.received).toEqual([]);
    expect((await deliveries())[0]?.failure).toContain('127.0.0.1 is not on the public Internet');
    await channelWithName(sender);
  });

  /** localhost is looked up, and what it leads to is refused. */
  async function channelWithName(sender: ReturnType<typeof createSender>) {
    const url = receiver.url.replace('127.0.0.1', 'localhost');
    const { channelId } = await control.call(channelCreate, tenant.manager, { name: 'name', webhookUrl: url });
    control.deps = { ...control.deps, sender };
    const answer = await control.call(channelTest, tenant.manager, { channelId });
    expect(answer).toMatchObject({ ok: false, failure: expect.stringContaining('localhost is not on the public') });
    expect(receiver.received).toEqual([]);
  }
});

describe('what is not lost', () => {
  test('a process that dies while it sends: the notice comes again under its id, and once it is done no more', async () => {
    await channel();
    await tell();
    receiver.answer = 'hang';
    const dying = deliverer();
    await dying.pass();
    await expect.poll(() => receiver.received.length).toBe(1); // and never comes to writing it down
    receiver.answer = 200;
    await deliver();
    expect(receiver.received).toHaveLength(1); // it is claimed
    control.nowMs += 60_001;
    await deliver();
    expect(receiver.received).toHaveLength(2);
    expect(receiver.received[0]?.headers['webhook-id']).toBe(receiver.received[1]?.headers['webhook-id']);
    const done = await deliveries();
    expect(done).toMatchObject([{ state: 'delivered', attempts: 2 }]);
    await dying.stop(); // what it writes now is too late
    expect(await deliveries()).toEqual(done);
  });

  test('one that is interrupted every time is given up in the end', async () => {
    await channel();
    await tell();
    await control.store.db.updateTable('deliveries').set({ attempts: 10 }).execute();
    await deliver();
    expect(receiver.received).toEqual([]);
    expect(await deliveries()).toMatchObject([{ state: 'failed', failure: 'Every attempt was interrupted.' }]);
  });

  test('a stop cuts what is being sent, and the next start sends it', async () => {
    await channel();
    await tell();
    receiver.answer = 'hang';
    const { db, sender, log, now } = control.deps;
    const first = startDeliverer({ db, sender, log, now, random: () => 0 });
    await expect.poll(() => receiver.received.length).toBe(1);
    await first.stop();
    expect(await deliveries()).toMatchObject([{ state: 'pending', attempts: 0 }]);
    receiver.answer = 200;
    const second = startDeliverer({ db, sender, log, now, random: () => 0 });
    await expect.poll(async () => (await deliveries())[0]?.state).toBe('delivered');
    await second.stop();
    expect(control.errors).toEqual([]);
  });

  test('a notice whose transaction fails is not sent', async () => {
    await channel();
    const failing = control.store.db.transaction().execute(async (trx) => {
      await notify(
        trx,
        { now: () => 1, newId },
        { tenantId: tenant.tenantId, kind: 'expired', subject: 'ig', dueAtMs: 1, detail: {} },
      );
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await deliveries()).toEqual([]);
  });

  test('two processes send each delivery once', async () => {
    await channel();
    for (let n = 0; n < 10; n++) await tell();
    const both = [deliverer(), deliverer()];
    for (let n = 0; n < 10; n++) await Promise.all(both.map((one) => deliver(one)));
    const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
    expect(ids).toHaveLength(10);
    expect(new Set(ids).size).toBe(10);
  });
});

describe('e-mail', () => {
  async function withSmtp(timeoutMs = 15_000) {
    const smtp = await smtpReceiver();
    const from = 'Cubit <cubit@example.com>';
    const sender = createSender({ webhookAllow: '', smtp: { url: smtp.url, from }, timeoutMs });
    control.deps = { ...control.deps, sender };
    const recipients = ['ops@example.com', 'finance@example.com'];
    const made = await control.call(channelCreate, tenant.manager, { name: 'mail', recipients });
    return { smtp, ...made };
  }

  test('text and HTML in the language of the tenant, to every recipient', async () => {
    const { smtp, secret } = await withSmtp();
    expect(secret).toBeNull();
    await control.call(noticeSetPreferences, tenant.manager, { language: 'pt-BR' });
    await tell('overdue');
    await deliver();
    const [mail] = smtp.mails;
    expect(mail).toMatchObject({ from: 'cubit@example.com', to: ['ops@example.com', 'finance@example.com'] });
    const [{ noticeId } = { noticeId: '' }] = await deliveries();
    expect(mail?.data).toContain(`Message-ID: <${noticeId}@example.com>`);
    expect(mail?.data).toMatch(/Subject: .*A_carteira_est=C3=A1_em_atraso|Subject: .*carteira/);
    expect(mail?.data).toContain('Content-Type: text/plain; charset=utf-8');
    expect(mail?.data).toContain('Content-Type: text/html; charset=utf-8');
    expect(await deliveries()).toMatchObject([{ state: 'delivered' }]);
  });

  test('a server that is busy is asked again, one that refuses for good is not', async () => {
    const { smtp } = await withSmtp();
    smtp.answer = '451 later';
    await tell();
    await deliver();
    expect(await deliveries()).toMatchObject([{ state: 'pending', failure: expect.stringContaining('451 later') }]);
    control.nowMs += DAY_MS;
    smtp.answer = '554 never';
    await deliver();
    expect(await deliveries()).toMatchObject([{ state: 'failed', attempts: 2 }]);
  });

  test('a server that says nothing is left after the time-out', async () => {
    const { smtp, channelId } = await withSmtp(300);
    smtp.answer = 'hang';
    expect(await control.call(channelTest, tenant.manager, { channelId })).toMatchObject({ ok: false });
  });

  test('no server, no e-mail', async () => {
    const asked = control.call(channelCreate, tenant.manager, { name: 'mail', recipients: ['a@example.com'] });
    expect(await refusal(asked)).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('smtpUrl'),
    });
  });
});

describe('channels', () => {
  test('takes only the kinds it is for, and nothing of another tenant', async () => {
    const { channelId } = await channel({ kinds: ['overdue'] });
    const other = await control.tenant();
    await tell('expired');
    await tell('overdue');
    await tell('overdue', other.tenantId);
    expect((await deliveries()).map(({ kind }) => kind)).toEqual(['overdue']);
    await control.call(channelUpdate, tenant.manager, { channelId, allKinds: true });
    await tell('expired');
    expect(await deliveries()).toHaveLength(2);
  });

  test('the secret is shown once; a new one signs beside the old for a day', async () => {
    const made = await control.call(channelCreate, tenant.manager, { name: 'x', webhookUrl: receiver.url }, 'once');
    const again = await control.call(channelCreate, tenant.manager, { name: 'x', webhookUrl: receiver.url }, 'once');
    expect(again).toEqual({ ...made, secret: null });
    const { channelId } = made;
    expect((await control.call(channelList, tenant.manager, {})).items[0]).not.toHaveProperty('secret');
    const changed = await control.call(channelUpdate, tenant.manager, { channelId, rotateSecret: true });
    expect(changed.secret).toMatch(/^whsec_.{44}$/);
    expect(await control.call(channelTest, tenant.manager, { channelId })).toMatchObject({ ok: true, failure: null });
    control.nowMs += DAY_MS;
    await control.call(channelTest, tenant.manager, { channelId });
    const signed = receiver.received.map((one) => [isSigned(one, made.secret!), isSigned(one, changed.secret!)]);
    expect(signed).toEqual([
      [true, true],
      [false, true],
    ]);
    expect(JSON.parse(receiver.received[0]!.body)).toMatchObject({ type: 'notice.test' });
  });

  test('paused or removed: what waits is cancelled and nothing more comes', async () => {
    const { channelId } = await channel();
    await tell();
    await control.call(channelUpdate, tenant.manager, { channelId, state: 'paused' });
    await tell();
    expect(await deliveries()).toMatchObject([{ state: 'cancelled' }]);
    await control.call(channelUpdate, tenant.manager, { channelId, state: 'active' });
    await tell();
    await control.call(channelRemove, tenant.manager, { channelId });
    await deliver();
    expect(receiver.received).toEqual([]);
    expect((await control.call(channelList, OPERATOR, {})).items).toEqual([]);
    expect((await refusal(control.call(channelTest, tenant.manager, { channelId }))).code).toBe('not_found');
  });

  test.each([
    [{ name: 'x' }],
    [{ name: 'x', webhookUrl: 'http://127.0.0.1/', recipients: ['a@example.com'] }],
    [{ name: 'x', webhookUrl: 'http://10.0.0.1/' }],
    [{ name: 'x', webhookUrl: 'gopher://1.1.1.1/' }],
    [{ name: 'x', webhookUrl: 'not a url' }],
    [{ name: 'x', webhookUrl: 'http://127.0.0.1/', kinds: [] }],
    [{ name: 'x', webhookUrl: 'http://127.0.0.1/', kinds: ['birthday'] }],
    [{ name: 'x', recipients: ['nobody'] }],
    [{ name: '', webhookUrl: 'http://127.0.0.1/' }],
  ])('%j is refused', async (input) => {
    expect((await refusal(control.call(channelCreate, tenant.manager, input as never))).code).toBe('invalid_request');
  });

  test('a change has to fit the channel', async () => {
    const { channelId } = await channel();
    const change = (input: object) => refusal(control.call(channelUpdate, tenant.manager, { channelId, ...input }));
    for (const input of [
      {},
      { recipients: ['a@example.com'] },
      { webhookUrl: 'http://10.0.0.1/' },
      { kinds: ['expired'], allKinds: true },
    ])
      expect((await change(input)).code, JSON.stringify(input)).toBe('invalid_request');
  });

  test('there is a most of them', async () => {
    for (let n = 0; n < 20; n++) await channel();
    expect((await refusal(channel())).code).toBe('conflict');
  });
});
