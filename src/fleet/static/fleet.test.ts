import { afterEach, expect, it } from 'vitest';
import type { Engine, EngineAddress } from '../../engine/port.ts';
import type { Role } from '../port.ts';
import { StaticFleet, type StaticServer } from './fleet.ts';

const fleets: StaticFleet[] = [];
afterEach(() => Promise.all(fleets.splice(0).map((fleet) => fleet.close(0))));

const server = (id: string, role: StaticServer['role'], more: Partial<StaticServer> = {}): StaticServer => ({
  ...{ id, templateId: 't', url: `http://${id}`, model: 'm', dialect: 'sglang', apiKey: null, role },
  ...{ bootstrapPort: null, kvEvents: null, ...more },
});
const spec = (replicaId: string, role: Role) => ({ replicaId, servedModelId: 'sm-1', templateId: 't', role });

/** A fleet over servers that are always well. */
function fleetOf(...servers: StaticServer[]) {
  const connect = (address: EngineAddress) =>
    ({
      address,
      health: async () => ({ ok: true, reason: null }),
      send: async () => ({ stream: false, bytes: [] }),
      metrics: async () => ({ running: 0, waiting: 0, promptTokensTotal: 1 }),
      close: async () => {},
    }) as unknown as Engine;
  const fleet = new StaticFleet({ servers: () => servers, connect, now: () => 1, pollMs: 1 });
  fleets.push(fleet);
  return fleet;
}

it('gives each machine of a pair a server of its role, with what it was adopted with', async () => {
  const kvEvents = { events: 'tcp://a:5557', replay: null };
  const fleet = fleetOf(server('d', 'decode'), server('p', 'prefill', { bootstrapPort: 9_000, kvEvents }));
  fleet.start(spec('rep-p', 'prefill'));
  fleet.start(spec('rep-d', 'decode'));
  while (fleet.list().some(({ state }) => state !== 'ready')) await new Promise((resolve) => setTimeout(resolve, 1));
  const addresses = Object.fromEntries(fleet.list().map(({ role, address }) => [role, address]));
  expect(addresses['prefill']).toMatchObject({ url: 'http://p', bootstrapPort: 9_000, kvEvents });
  expect(addresses['decode']).toEqual({
    kind: 'openai-http',
    url: 'http://d',
    model: 'm',
    apiKey: null,
    dialect: 'sglang',
  });
});

it('never fills one role with a server of another', () => {
  const fleet = fleetOf(server('d1', 'decode'), server('d2', 'decode'));
  expect(() => fleet.start(spec('rep-p', 'prefill'))).toThrow('No prefill server is free');
  fleet.start(spec('rep-d', 'decode'));
  expect(fleet.capacity('t').free).toBe(1);
});
