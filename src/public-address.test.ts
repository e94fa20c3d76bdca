import type { lookup } from 'node:dns';
import { expect, test } from 'vitest';
import { createSender } from './control/delivery/sender.ts';
import { checkedLookup, isPublicAddress, mayReach, readNetworks } from './public-address.ts';

test.each([
  ...['127.0.0.1', '10.1.2.3', '172.31.255.255', '192.168.0.1', '169.254.169.254', '100.64.0.1', '0.0.0.0'],
  ...['224.0.0.1', '255.255.255.255', '198.18.0.1', '192.0.2.1', '::1', '::', 'fe80::1', 'fd00:ec2::254', 'ff02::1'],
  ...['::ffff:127.0.0.1', '::ffff:a9fe:a9fe', '64:ff9b::7f00:1', '2002:7f00:1::', '2001:db8::1', 'localhost', ''],
])('%s is not public', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1'])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test('the operator allows addresses and networks', () => {
  const allowed = readNetworks('10.20.0.0/16, 127.0.0.1,fd00::/8,', 'webhookAllow');
  expect(['10.20.3.4', '127.0.0.1', 'fd12::1', '1.1.1.1'].map((one) => mayReach(one, allowed))).not.toContain(false);
  expect(['10.21.0.1', '127.0.0.2', 'fe80::1'].map((one) => mayReach(one, allowed))).not.toContain(true);
});

test.each(['10.0.0.0/33', 'example.com', '10.0.0.0/', '10.0.0.0/8/8', '::/129', '10.0.0.0/-1'])(
  '%s is no network',
  (text) => expect(() => readNetworks(text, 'webhookAllow')).toThrow(/webhookAllow/),
);

test.each([
  ...['http://127.0.0.1/', 'http://2130706433/', 'http://0x7f.1/', 'http://[::1]/', 'http://[::ffff:10.0.0.1]/'],
  ...['http://169.254.169.254/latest/meta-data', 'ftp://1.1.1.1/', 'file:///etc/passwd', 'https://u:p@1.1.1.1/', 'x'],
])('%s is refused as a webhook', (url) => {
  const sender = createSender({ webhookAllow: '', smtp: null });
  expect(() => sender.checkUrl(url)).toThrow(/public Internet|webhook is/);
  expect(() => sender.checkUrl('https://1.1.1.1/hook')).not.toThrow();
});

/** What a connection to a name with these addresses is told. */
function lookedUp(addresses: readonly string[], allow = ''): Promise<{ error: Error | null; address: unknown }> {
  const resolve = ((_name: string, _options: object, done: (error: null, found: object[]) => void) =>
    done(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    )) as unknown as typeof lookup;
  return new Promise((done) => {
    checkedLookup(readNetworks(allow, 'webhookAllow'), resolve)('evil.example', { all: true }, (error, address) =>
      done({ error, address }),
    );
  });
}

test('a name that leads inside is refused, also when only one of its addresses does', async () => {
  expect((await lookedUp(['169.254.169.254'])).error?.message).toContain('evil.example is not on the public Internet');
  expect((await lookedUp(['1.1.1.1', '10.0.0.1'])).error).not.toBeNull();
  expect((await lookedUp([])).error).not.toBeNull();
  expect(await lookedUp(['1.1.1.1'])).toMatchObject({ error: null, address: [{ address: '1.1.1.1' }] });
  expect((await lookedUp(['10.0.0.1'], '10.0.0.0/8')).error).toBeNull();
});
