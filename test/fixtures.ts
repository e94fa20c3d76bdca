import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Path of the default model's weights, which tests of the real engine run on. */
export async function testWeights(): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const path = process.env['CUBIT_TEST_WEIGHTS'] ?? join(cache, 'cubit', 'weights', 'smollm2-135m-instruct-q4_1.gguf');
  await access(path);
  return path;
}
