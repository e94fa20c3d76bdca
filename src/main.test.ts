import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from './config.ts';
import { CubitError } from './core/errors.ts';
import { createLog } from './log.ts';
import { startCubit } from './main.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

it('answers 503 while it starts, and leaves nothing behind when the start fails', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'cubit-test-'));
  const port = await freePort();
  const config = loadConfig({ dataDir, port }, {});
  const log = createLog({ level: 'error', file: join(dataDir, 'log') });
  const start = async (): Promise<number> => {
    const weights = Promise.withResolvers<string>();
    let status = 0;
    const started = startCubit(config, {
      log,
      getWeights: async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/v1/models`, { signal: AbortSignal.timeout(2_000) });
        expect(await answer.json()).toMatchObject({ error: { code: 'engine_unavailable' } });
        status = answer.status;
        weights.reject(new CubitError('weights_unavailable', 'none'));
        return weights.promise;
      },
    });
    await expect(started).rejects.toMatchObject({ code: 'weights_unavailable' });
    return status;
  };
  try {
    expect(await start()).toBe(503);
    // Lock and port are free again.
    expect(await start()).toBe(503);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
