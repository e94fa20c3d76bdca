import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { WorkerExit, WorkerProcess } from '../../engine/llama/spawn.ts';
import type { Engine } from '../../engine/port.ts';
import { LocalReplica, type Surroundings } from './replica.ts';

const SPEC = { replicaId: 'rep-1', servedModelId: 'sm-1', templateId: 't', role: 'unified' } as const;
const POLICY = { delayMsMin: 100, delayMsMax: 100, crashesMax: 2, windowMs: 60_000 };

vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
afterEach(() => vi.clearAllTimers());
// Unit tests share processes: the next file wants the real clock.
afterAll(() => vi.useRealTimers());

function replicaWith(spawn: () => WorkerProcess, around: Partial<Surroundings> = {}): LocalReplica {
  const engine = { health: async () => ({ ok: false, reason: 'loading' }), close: async () => {} } as unknown as Engine;
  return new LocalReplica(SPEC, {
    spawn: () => ({ process: spawn(), address: { kind: 'llama', socketPath: 'x' } }),
    connect: () => engine,
    restart: POLICY,
    startMsMax: 10_000,
    pollMs: 100,
    warmUp: async () => null,
    now: () => 0,
    changed: () => {},
    ...around,
  });
}

describe('a local replica', () => {
  it('whose process cannot be started tries again, and is given up in the end: nothing is thrown', async () => {
    let spawns = 0;
    const replica = replicaWith(() => {
      spawns += 1;
      throw new Error('spawn ENOMEM');
    });
    expect(replica.status).toMatchObject({ state: 'starting', failure: expect.stringContaining('ENOMEM') });
    await vi.advanceTimersByTimeAsync(1_000);
    expect([spawns, replica.status.state]).toEqual([3, 'failed']);
    await replica.stop(0);
    expect(replica.status.state).toBe('stopped');
  });

  it('has its time to start, whatever the clock says', async () => {
    let nowMs = 0;
    const kill = vi.fn();
    const process = { exited: new Promise<WorkerExit>(() => {}), kill } as unknown as WorkerProcess;
    replicaWith(() => process, { now: () => nowMs });
    nowMs = 86_400_000;
    await vi.advanceTimersByTimeAsync(9_000);
    expect(kill).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(kill).toHaveBeenCalledWith('SIGKILL');
  });

  it('that says it is well and answers nothing is never ready: it is ended, tried again, given up, and says why', async () => {
    const engine = { health: async () => ({ ok: true, reason: null }), close: async () => {} } as unknown as Engine;
    const states: string[] = [];
    const endings: string[] = [];
    const spawn = () => {
      let end = (_: WorkerExit) => {};
      const exited = new Promise<WorkerExit>((resolve) => {
        end = resolve;
      });
      const kill = (signal: string) => {
        endings.push(signal);
        end({ code: null, signal: 'SIGKILL', reason: 'killed' } as unknown as WorkerExit);
      };
      return { exited, kill } as unknown as WorkerProcess;
    };
    const replica = replicaWith(spawn, {
      connect: () => engine,
      warmUp: () => Promise.reject(new Error('no answer within 60 s')),
      changed: () => states.push(replica.status.state),
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(replica.status).toMatchObject({ state: 'failed', address: null, readyAtMs: null });
    expect(replica.status.failure).toMatch(/does not answer a first request: no answer within 60 s$/);
    expect(endings).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);
    expect(states).not.toContain('ready');
  });
});
