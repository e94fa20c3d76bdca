import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { CubitError } from '../../core/errors.ts';
import type { Engine, EngineHealth, EngineRequest } from '../../engine/port.ts';
import { StaticReplica } from './replica.ts';

const SPEC = { replicaId: 'rep-1', servedModelId: 'sm-1', templateId: 't', role: 'unified' } as const;
const SERVER = {
  id: 'srv-1',
  templateId: 't',
  url: 'http://x/v1',
  model: 'm',
  dialect: 'vllm',
  apiKey: null,
  role: 'unified',
  bootstrapPort: null,
  kvEvents: null,
} as const;
const WELL: EngineHealth = { ok: true, reason: null };
const ILL: EngineHealth = { ok: false, reason: 'it does not answer' };
const POLL_MS = 1_000;

/** A replica on a server whose health the test sets; `states` are those it went through. */
function watched(now = () => 0) {
  const server = {
    health: WELL,
    running: 0,
    asked: [] as string[],
    refuses: (_kind: string): CubitError | null => null,
  };
  const engine = {
    health: async () => server.health,
    send: async ({ kind }: EngineRequest) => {
      server.asked.push(kind);
      const refusal = server.refuses(kind);
      if (refusal !== null) throw refusal;
      return { stream: false, bytes: [] };
    },
    metrics: async () => ({ running: server.running, waiting: 0, promptTokensTotal: 1 }),
    close: async () => {},
  } as unknown as Engine;
  const states: string[] = [];
  const changed = () => states.push(replica.status.state);
  const replica = new StaticReplica('srv-1', SPEC, {
    server: () => SERVER,
    connect: () => engine,
    pollMs: POLL_MS,
    now,
    changed,
  });
  return { server, replica, states };
}

vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
afterEach(() => vi.clearAllTimers());
// Unit tests share processes: the next file wants the real clock.
afterAll(() => vi.useRealTimers());
const polls = (count: number) => vi.advanceTimersByTimeAsync(count * POLL_MS);

describe('a static replica', () => {
  it('stays ready over a slow answer, and goes after three misses in a row', async () => {
    const { server, replica, states } = watched();
    await polls(1);
    for (const health of [ILL, ILL, WELL, ILL, ILL]) {
      server.health = health;
      await polls(1);
    }
    expect([replica.status.state, states]).toEqual(['ready', ['ready']]);
    await polls(1);
    expect(replica.status).toMatchObject({ state: 'starting', address: null, restarts: 1 });
    expect(replica.status.failure).toContain('does not answer');
    server.health = WELL;
    await polls(1);
    expect(replica.status).toMatchObject({ state: 'ready', address: { url: 'http://x/v1' } });
  });

  it('drains for as long as it was told, whatever the clock says', async () => {
    let nowMs = 10_000_000;
    const { server, replica } = watched(() => nowMs);
    await polls(1);
    server.running = 1;
    const stopped = replica.stop(5_000);
    nowMs = 0;
    await polls(6);
    await stopped;
    expect(replica.status.state).toBe('stopped');
  });

  it('is ready once it answers a first request, which is asked ever more rarely until then', async () => {
    const { server, replica, states } = watched();
    server.refuses = () => new CubitError('engine_unavailable', 'The engine takes no more requests now.');
    await polls(60);
    // At 0, 1, 3, 7, 15, 31 s.
    expect(server.asked).toHaveLength(6);
    expect(replica.status).toMatchObject({ state: 'starting', address: null, readyAtMs: null });
    expect(replica.status.failure).toBe(
      'Server srv-1: it says it is well and does not answer a first request: The engine takes no more requests now.',
    );
    expect(states).not.toContain('ready');
    server.refuses = () => null;
    await polls(10);
    expect([replica.status.state, server.asked.length]).toEqual(['ready', 7]);
    await polls(10);
    expect(server.asked).toHaveLength(7);
  });

  it('is asked in its own way; one that refuses every way is not ready', async () => {
    const failed = new CubitError('engine_failed', 'The engine failed on this request.');
    const { server, replica } = watched();
    server.refuses = () => failed;
    await polls(0);
    expect([replica.status.state, server.asked]).toEqual(['starting', ['chat', 'completion', 'embedding']]);
    server.refuses = (kind) => (kind === 'embedding' ? null : failed);
    await polls(1);
    expect(replica.status.state).toBe('ready');
  });
});
