import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endpoint, replica, served, snapshot } from '../fixture.ts';
import { SnapshotFile } from './keep.ts';
import { tablesOf, type WholeLine } from './wire.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cubit-keep-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function whole(secret: string): WholeLine {
  const address = { kind: 'openai-http', url: 'http://10.0.0.1', model: 'm', apiKey: secret, dialect: 'vllm' } as const;
  const tables = tablesOf(
    snapshot(endpoint({ servedModels: [served({ replicas: [replica('rep-1', { address })] })] })),
  );
  return { type: 'whole', epoch: 'a', version: 3, keys: [...tables.keys], endpoints: [...tables.endpoints.values()] };
}

test('what was kept is read again; no secret is in the file, and only its owner may read it', async () => {
  const path = join(folder, 'snapshot');
  const file = new SnapshotFile(path, 'token');
  expect(await file.read()).toBeNull();
  const line = whole('sk-of-the-engine');
  await file.save(
    () => line,
    () => 123,
  );
  expect(await new SnapshotFile(path, 'token').read()).toEqual({ line, savedAtMs: 123 });
  const text = readFileSync(path, 'latin1');
  for (const secret of ['sk-of-the-engine', 'token', 'demo', '10.0.0.1']) expect(text).not.toContain(secret);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a changed, torn or foreign file is refused, never half believed', async () => {
  const path = join(folder, 'snapshot');
  await new SnapshotFile(path, 'token').save(
    () => whole('x'),
    () => 1,
  );
  const good = readFileSync(path);
  await expect(new SnapshotFile(path, 'another').read()).rejects.toThrow();
  const flipped = Buffer.from(good);
  flipped[flipped.length - 5]! ^= 1;
  const older = Buffer.from(good.toString('latin1').replace('"savedAtMs":1', '"savedAtMs":9'), 'latin1');
  for (const bad of [flipped, older, good.subarray(0, good.length / 2), Buffer.from('{}\n'), Buffer.alloc(0)]) {
    writeFileSync(path, bad);
    await expect(new SnapshotFile(path, 'token').read()).rejects.toThrow();
  }
});

test('many saves at once end with the newest', async () => {
  const path = join(folder, 'snapshot');
  const file = new SnapshotFile(path, 'token');
  let version = 0;
  const saves = Array.from({ length: 50 }, () => {
    version += 1;
    return file.save(
      () => ({ ...whole('x'), version }),
      () => 1,
    );
  });
  await Promise.all(saves);
  expect((await file.read())?.line.version).toBe(50);
});
