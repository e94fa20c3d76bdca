import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectEngine } from '../engine/connect.ts';
import type { EngineReply } from '../engine/port.ts';
import type { Fleet, ReplicaSpec, ReplicaState, ReplicaStatus } from './port.ts';

/** A fleet with room for exactly two replicas of `templateId`, each SmolLM2-135M-Instruct. */
export interface FleetHarness {
  readonly fleet: Fleet;
  readonly templateId: string;
  /** Ends what a replica runs on with kill -9; whoever runs it starts it again. */
  kill(replicaId: string): Promise<void>;
  /** Process ids of everything the fleet itself has started and that still lives. */
  processes(): readonly number[];
  close(): Promise<void>;
}

const READY_MS_MAX = 60_000;
const DRAIN_MS = 30_000;

export async function until(what: string, condition: () => boolean, withinMs = READY_MS_MAX): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Registers the contract of `Fleet` for one implementation. The cases build on each other: one fleet, from start to close. */
export function fleetContract(name: string, begin: () => Promise<FleetHarness>): void {
  describe(`fleet contract: ${name}`, () => {
    let harness: FleetHarness;
    let fleet: Fleet;
    beforeAll(async () => {
      harness = await begin();
      fleet = harness.fleet;
    });
    afterAll(() => harness?.close());

    const spec = (replicaId: string): ReplicaSpec => ({
      replicaId,
      servedModelId: 'sm-1',
      templateId: harness.templateId,
      role: 'unified',
    });
    const status = (replicaId: string): ReplicaStatus => {
      const found = fleet.list().find((one) => one.replicaId === replicaId);
      if (found === undefined) throw new Error(`${replicaId} is not listed`);
      return found;
    };
    const reaches = (replicaId: string, state: ReplicaState) =>
      until(`${replicaId} is ${state}`, () => status(replicaId).state === state);
    const open = async (replicaId: string, tokens: number): Promise<{ first: string; rest: Promise<string> }> => {
      const { address } = status(replicaId);
      if (address === null) throw new Error(`${replicaId} has no address`);
      const engine = connectEngine(address);
      // Counting goes on until the limit: the stream lasts as long as the test wants it to.
      const body = { prompt: '1, 2, 3, 4, 5,', max_tokens: tokens, temperature: 0, stream: true };
      const asked = { kind: 'completion', body, requestId: 'req-1', cacheSalt: 'x' } as const;
      const reply = await engine.send(asked, new AbortController().signal);
      return readOn(reply, () => engine.close());
    };

    it('starts replicas, which become ready and answer', async () => {
      let changes = 0;
      const unsubscribe = fleet.onChange(() => {
        changes += 1;
      });
      expect(fleet.serves(harness.templateId)).toBe(true);
      expect(fleet.serves('another')).toBe(false);
      expect(fleet.capacity(harness.templateId).free).toBe(2);
      fleet.start(spec('rep-a'));
      expect(status('rep-a')).toMatchObject({ ...spec('rep-a'), state: 'starting', address: null, readyAtMs: null });
      await reaches('rep-a', 'ready');
      expect(status('rep-a')).toMatchObject({ restarts: 0, failure: null, readyAtMs: expect.any(Number) });
      const { rest } = await open('rep-a', 4);
      expect(await rest).toContain('data: [DONE]');
      expect(changes).toBeGreaterThanOrEqual(2);
      unsubscribe();
    });

    it('starts an id once', async () => {
      const before = status('rep-a');
      fleet.start(spec('rep-a'));
      expect(fleet.list()).toEqual([before]);
    });

    it('refuses what it has no room for', async () => {
      fleet.start(spec('rep-b'));
      expect(fleet.capacity(harness.templateId).free).toBe(0);
      expect(() => fleet.start(spec('rep-c'))).toThrow(expect.objectContaining({ code: 'capacity_exhausted' }));
      expect(fleet.list().map((one) => one.replicaId)).toEqual(['rep-a', 'rep-b']);
      await reaches('rep-b', 'ready');
    });

    it('a killed replica fails its streams and comes back; the others do not notice', async () => {
      const other = status('rep-b');
      const dying = await open('rep-a', 150);
      const living = await open('rep-b', 12);
      const failed = expect(dying.rest).rejects.toMatchObject({ code: 'engine_failed' });
      await harness.kill('rep-a');
      await failed;
      await until('the crash is seen', () => status('rep-a').state !== 'ready');
      expect(status('rep-a')).toMatchObject({ address: null, readyAtMs: null, failure: expect.any(String) });
      expect(await living.rest).toContain('data: [DONE]');
      await reaches('rep-a', 'ready');
      expect(status('rep-a').restarts).toBe(1);
      expect(status('rep-b')).toEqual(other);
      expect(await (await open('rep-a', 2)).rest).toContain('data: [DONE]');
    });

    it('drains a running stream to its end before it stops', async () => {
      const stream = await open('rep-b', 40);
      const stopped = fleet.stop('rep-b', DRAIN_MS);
      expect(status('rep-b')).toMatchObject({ state: 'draining', address: expect.anything() });
      let streamEnded = false;
      const text = stream.rest.then((all) => {
        streamEnded = true;
        return all;
      });
      await stopped;
      expect(streamEnded).toBe(true);
      expect(await text).toContain('data: [DONE]');
      expect(status('rep-b')).toMatchObject({ state: 'stopped', address: null });
      expect(fleet.capacity(harness.templateId).free).toBe(1);
    });

    it('stops once, and nothing where nothing runs', async () => {
      await fleet.stop('rep-b', DRAIN_MS);
      await fleet.stop('rep-unknown', DRAIN_MS);
      expect(status('rep-b').state).toBe('stopped');
    });

    it('replaces: a stopped id can be started again', async () => {
      fleet.start(spec('rep-b'));
      await reaches('rep-b', 'ready');
      expect(fleet.list().map((one) => one.replicaId)).toEqual(['rep-a', 'rep-b']);
    });

    it('does not wait longer for a stream than it was told', async () => {
      const stream = await open('rep-b', 200);
      let whole = false;
      const rest = stream.rest.then(
        (all) => {
          whole = all.includes('data: [DONE]');
        },
        () => undefined,
      );
      await fleet.stop('rep-b', 100);
      expect(whole).toBe(false);
      expect(status('rep-b').state).toBe('stopped');
      await rest;
    });

    it('leaves nothing running when it closes', async () => {
      await fleet.close(DRAIN_MS);
      expect(harness.processes()).toEqual([]);
      expect(fleet.list().every((one) => one.state === 'stopped')).toBe(true);
      expect(fleet.capacity(harness.templateId).free).toBe(0);
      expect(() => fleet.start(spec('rep-d'))).toThrow(expect.objectContaining({ code: 'capacity_exhausted' }));
    });
  });
}

async function readOn(
  reply: EngineReply,
  close: () => Promise<void>,
): Promise<{ first: string; rest: Promise<string> }> {
  const stream = reply.bytes[Symbol.asyncIterator]();
  const text = (step: IteratorResult<Uint8Array>): string => (step.done ? '' : Buffer.from(step.value).toString());
  const first = text(await stream.next());
  const rest = (async () => {
    let all = first;
    for (let step = await stream.next(); !step.done; step = await stream.next()) all += text(step);
    return all;
  })().finally(close);
  rest.catch(() => undefined);
  return { first, rest };
}
