import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { CubitError } from './core/errors.ts';
import type { AddressGuard } from './engine/connect.ts';

/**
 * Which addresses are reached for a tenant (webhooks, servers, models' files): those of the public Internet, and what the
 * operator allows beside them.
 * Private networks, this machine, link-local addresses (where clouds keep their machines' credentials) and everything
 * reserved are refused. Sources: the IANA special-purpose address registries (RFC 6890) of IPv4 and IPv6.
 */
const SPECIAL_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
/** Of IPv6 only global unicast is public, without what documents use and what carries an IPv4 address inside. */
const GLOBAL_V6 = ['2000::', 3] as const;
const SPECIAL_V6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const specialV4 = blockListOf(SPECIAL_V4, 'ipv4');
const specialV6 = blockListOf(SPECIAL_V6, 'ipv6');
const globalV6 = blockListOf([GLOBAL_V6], 'ipv6');

function blockListOf(subnets: readonly (readonly [string, number])[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family);
  return list;
}

export function isPublicAddress(address: string): boolean {
  if (isIPv6(address)) return globalV6.check(address, 'ipv6') && !specialV6.check(address, 'ipv6');
  return isIP(address) === 4 && !specialV4.check(address, 'ipv4');
}

/** The operator's exceptions: addresses and networks, `10.20.0.0/16, fd00::/8, 192.168.1.7`. Throws `config_invalid`. */
export function readNetworks(text: string, setting: 'modelAllow' | 'webhookAllow'): BlockList {
  const list = new BlockList();
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const [net = '', prefix, more] = entry.split('/');
    const family = isIP(net);
    const bitsMax = family === 6 ? 128 : 32;
    const bits = prefix === undefined ? bitsMax : Number(prefix);
    if (family === 0 || more !== undefined || !/^\d*$/.test(prefix ?? '') || prefix === '' || bits > bitsMax) {
      throw new CubitError('config_invalid', `Bad configuration. ${setting}: ${entry} is no address or network.`);
    }
    list.addSubnet(net, bits, family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

export function mayReach(address: string, allowed: BlockList): boolean {
  const family = isIP(address);
  return isPublicAddress(address) || (family !== 0 && allowed.check(address, family === 6 ? 'ipv6' : 'ipv4'));
}

export function refusal(host: string): CubitError {
  return new CubitError(
    'invalid_request',
    `${host} is not on the public Internet, and the operator does not allow it.`,
  );
}

/** Host of a URL without the brackets of IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/**
 * Looks a name up for a connection, which is then made to the very address that was checked: a name that answers
 * differently the second time gains nothing. One address out of bounds and the name is refused.
 */
export function checkedLookup(allowed: BlockList, resolve = dnsLookup): LookupFunction {
  return (hostname: string, options: LookupOptions, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 0);
      const addresses = found as LookupAddress[];
      const first = addresses[0];
      if (first === undefined || !addresses.every(({ address }) => mayReach(address, allowed))) {
        return callback(refusal(hostname), '', 0);
      }
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** Throws `invalid_request` for what is no web address, or one out of bounds. */
export function checkWebhookUrl(text: string, allowed: BlockList): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw new CubitError('invalid_request', 'A webhook is an http or https URL without a name and password in it.');
  }
  // A name is checked as it is looked up; an address is not looked up.
  const host = hostOf(url);
  if (isIP(host) !== 0 && !mayReach(host, allowed)) throw refusal(host);
}

/** The same bounds for engines whose addresses tenants named. Throws `config_invalid` for networks that are none. */
export function addressGuard(allow: string): AddressGuard {
  const allowed = readNetworks(allow, 'webhookAllow');
  return { checkUrl: (url) => checkWebhookUrl(url, allowed), lookup: checkedLookup(allowed) };
}
