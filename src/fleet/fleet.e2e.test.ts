import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { testWeights } from '../../test/fixtures.ts';
import { connectEngine } from '../engine/connect.ts';
import { workerArguments } from '../engine/llama/options.ts';
import { WorkerProcess } from '../engine/llama/spawn.ts';
import { CombinedFleet } from './combined.ts';
import { type FleetHarness, fleetContract, until } from './fleet.case.ts';
import { LocalFleet, type LocalFleetOptions } from './local/fleet.ts';
import type { ReplicaSpec } from './port.ts';
import { StaticFleet, type StaticServer } from './static/fleet.ts';

const workerPath = new URL('../engine/llama/worker.ts', import.meta.url).pathname;
const SIZE = { modelName: 'smollm2', contextTokens: 256, sequences: 2, threads: 1, selfCheck: null };

async function localFleet(more: Partial<LocalFleetOptions> = {}): Promise<LocalFleet> {
  const modelPath = await testWeights();
  return new LocalFleet({
    workerPath,
    execPath: process.execPath,
    templates: (id) => (id === 'local' ? { modelPath, ...SIZE } : null),
    limits: { workersMax: 2, memoryBytesMax: 8 * 2 ** 30, memoryBytesPerWorker: 2 ** 30 },
    connect: connectEngine,
    log: ({ replicaId, line }) => console.error(replicaId, line),
    now: Date.now,
    ...more,
  });
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Servers that somebody else runs: workers on TCP that come back on the same port after a kill. */
class Servers {
  readonly listed: StaticServer[] = [];
  readonly #workers = new Map<string, WorkerProcess>();

  async add(id: string): Promise<void> {
    const worker = await this.#run(0);
    this.#workers.set(id, worker);
    const url = await worker.listening;
    this.listed.push({
      id,
      templateId: 'adopted',
      url,
      model: 'm',
      dialect: 'cubit',
      apiKey: null,
      role: 'unified',
      bootstrapPort: null,
      kvEvents: null,
    });
  }

  async killAndRestart(id: string): Promise<void> {
    const worker = this.#workers.get(id);
    worker?.kill('SIGKILL');
    await worker?.exited;
    const url = new URL(this.listed.find((server) => server.id === id)?.url ?? '');
    this.#workers.set(id, await this.#run(Number(url.port)));
  }

  async end(): Promise<void> {
    for (const worker of this.#workers.values()) worker.kill('SIGKILL');
    await Promise.all([...this.#workers.values()].map((worker) => worker.exited));
  }

  async #run(port: number): Promise<WorkerProcess> {
    const listen = { host: '127.0.0.1', port };
    const worker = { ...SIZE, modelPath: await testWeights(), listen, name: 'm', waitingMax: 8, kvFolder: null };
    return new WorkerProcess({
      execPath: process.execPath,
      workerPath,
      arguments: workerArguments(worker),
      log: (line) => console.error(line),
    });
  }
}

fleetContract('local', async (): Promise<FleetHarness> => {
  const fleet = await localFleet();
  const pids = new Set<number>();
  fleet.onChange(() => {
    for (const { replicaId } of fleet.list()) {
      const pid = fleet.pid(replicaId);
      if (pid !== null) pids.add(pid);
    }
  });
  return {
    fleet,
    templateId: 'local',
    kill: async (replicaId) => void process.kill(fleet.pid(replicaId) as number, 'SIGKILL'),
    processes: () => [...pids].filter(alive),
    close: () => fleet.close(0),
  };
});

fleetContract('static', async (): Promise<FleetHarness> => {
  const servers = new Servers();
  await servers.add('srv-1');
  await servers.add('srv-2');
  const fleet = new StaticFleet({ servers: () => servers.listed, connect: connectEngine, now: Date.now, pollMs: 50 });
  return {
    fleet,
    templateId: 'adopted',
    // The first replica holds the first server.
    kill: () => servers.killAndRestart('srv-1'),
    processes: () => [],
    close: () => fleet.close(0).then(() => servers.end()),
  };
});

const SPEC: ReplicaSpec = { replicaId: 'rep-1', servedModelId: 'sm-1', templateId: 'local', role: 'unified' };
const closers: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closers) await close();
});

it('local gives a worker up that keeps crashing, and says why', async () => {
  const fleet = await localFleet({
    templates: () => ({ modelPath: '/nowhere.gguf', ...SIZE }),
    restart: { delayMsMin: 10, delayMsMax: 20, crashesMax: 1, windowMs: 60_000 },
  });
  closers.push(() => fleet.close(0));
  fleet.start(SPEC);
  await until('it is given up', () => fleet.list()[0]?.state === 'failed');
  expect(fleet.list()[0]).toMatchObject({
    restarts: 1,
    address: null,
    failure: expect.stringContaining('/nowhere.gguf'),
  });
  expect(fleet.capacity('local').free).toBe(2);
  fleet.start(SPEC);
  expect(fleet.list()[0]?.state).toBe('failed');
  await fleet.stop('rep-1', 0);
  expect(fleet.list()[0]?.state).toBe('stopped');
});

it('local keeps to the machine’s memory', async () => {
  const fleet = await localFleet({
    limits: { workersMax: 8, memoryBytesMax: 2 ** 30, memoryBytesPerWorker: 2 ** 30 },
  });
  expect(fleet.capacity('local')).toEqual({ free: 1, limit: 'memory for 1 workers (1.0 GiB each of 1.0 GiB)' });
});

it('local workers do not outlive a parent that is killed', async () => {
  const script = `
    import { LocalFleet } from ${JSON.stringify(new URL('./local/fleet.ts', import.meta.url).href)};
    import { connectEngine } from ${JSON.stringify(new URL('../engine/connect.ts', import.meta.url).href)};
    const fleet = new LocalFleet({
      workerPath: ${JSON.stringify(workerPath)}, execPath: process.execPath, connect: connectEngine,
      templates: () => (${JSON.stringify({ modelPath: await testWeights(), ...SIZE })}),
      limits: { workersMax: 1, memoryBytesMax: 1, memoryBytesPerWorker: 1 },
      log: () => {}, now: Date.now,
    });
    fleet.onChange(() => { if (fleet.list()[0].state === 'ready') console.log(fleet.pid('rep-1')); });
    fleet.start(${JSON.stringify(SPEC)});`;
  const folder = mkdtempSync(join(tmpdir(), 'cubit-fleet-'));
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await Promise.race([once(parent.stdout, 'data'), once(parent, 'exit')]);
  const worker = Number(line);
  expect(worker).toBeGreaterThan(0);
  expect(alive(worker)).toBe(true);
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^cubit-/)]);
  parent.kill('SIGKILL');
  await until('the worker is gone', () => !alive(worker), 10_000);
  expect(readdirSync(folder)).toEqual([]);
  rmdirSync(folder);
});

it('static shows a removed server as failed, and takes it back when it returns', async () => {
  const servers = new Servers();
  await servers.add('srv-1');
  const [server] = servers.listed as [StaticServer];
  const own = new StaticFleet({ servers: () => servers.listed, connect: connectEngine, now: Date.now, pollMs: 50 });
  const local = await localFleet();
  const fleet = new CombinedFleet([local, own]);
  closers.push(() => fleet.close(0).then(() => servers.end()));
  const state = () => fleet.list()[0]?.state;

  fleet.start({ ...SPEC, templateId: 'adopted' });
  await until('ready', () => state() === 'ready');
  servers.listed.pop();
  await until('failed', () => state() === 'failed');
  expect(fleet.list()[0]).toMatchObject({ address: null, failure: 'Server srv-1 was removed.' });
  servers.listed.push(server);
  await until('ready again', () => state() === 'ready');

  expect(fleet.capacity('adopted').free).toBe(0);
  expect(fleet.capacity('local').free).toBe(2);
  expect(() => fleet.start({ ...SPEC, replicaId: 'rep-2', templateId: 'unknown' })).toThrow(
    expect.objectContaining({ code: 'capacity_exhausted' }),
  );
});
