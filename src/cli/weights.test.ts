import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Weights } from '../catalog/schema.ts';
import { loadConfig } from '../config.ts';
import { weightsWithProgress } from './weights.ts';

const WEIGHTS: Weights = {
  format: 'gguf',
  file: 'tiny.gguf',
  bytes: 4,
  sha256: '0'.repeat(64),
  sources: [{ kind: 'url', url: 'http://127.0.0.1:1/nobody-is-asked' }],
};

test('CUBIT_WEIGHTS names a file that is taken as it is, and no source is asked', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cubit-weights-'));
  const own = join(folder, 'own.gguf');
  writeFileSync(own, 'mine');
  const { weights, cacheDir } = loadConfig({ dataDir: folder }, { CUBIT_WEIGHTS: own, XDG_CACHE_HOME: folder });
  expect(await weightsWithProgress(WEIGHTS, cacheDir, weights)).toBe(own);
  await expect(weightsWithProgress(WEIGHTS, cacheDir, join(folder, 'gone'))).rejects.toMatchObject({
    code: 'weights_unavailable',
    message: expect.stringContaining('CUBIT_WEIGHTS'),
  });
  rmSync(folder, { recursive: true });
});
