import { hash } from 'node:crypto';
import { expect, it } from 'vitest';
import { KeyRing } from './authenticate.ts';

const own = { keyId: 'key-1', tenantId: 't-1' };
const keysOf = (...secrets: string[]) => new Map(secrets.map((secret) => [hash('sha256', secret, 'hex'), own]));

it('finds a key again and again, and none that only looks like it', () => {
  const ring = new KeyRing();
  ring.replace(keysOf('sk-a'));
  for (let time = 0; time < 3; time += 1) {
    expect(ring.find('sk-a')).toBe(own);
    expect(ring.find('sk-A')).toBeUndefined();
    expect(ring.find(hash('sha256', 'sk-a', 'hex'))).toBeUndefined();
  }
});

it('knows a revoked key no more from the next set of keys on, however often it was used', () => {
  const ring = new KeyRing();
  ring.replace(keysOf('sk-a', 'sk-b'));
  for (let time = 0; time < 3; time += 1) expect(ring.find('sk-a')).toBe(own);
  ring.replace(keysOf('sk-b'));
  expect(ring.find('sk-a')).toBeUndefined();
  expect(ring.find('sk-b')).toBe(own);
});
