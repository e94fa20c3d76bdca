import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadOperatorToken, operatorTokenPath, sameToken } from './operator-token.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cubit-token-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('made once, found again, for its owner only', () => {
  const token = loadOperatorToken(folder);
  expect(token).toMatch(/^op-cubit-[\w-]{43}$/);
  expect(loadOperatorToken(folder)).toBe(token);
  expect(statSync(operatorTokenPath(folder)).mode & 0o777).toBe(0o600);
});

test('of several processes that start at once all have the same', async () => {
  const module = JSON.stringify(new URL('./operator-token.ts', import.meta.url).href);
  const script = `import { loadOperatorToken } from ${module}; console.log(loadOperatorToken(process.argv[1]));`;
  const run = promisify(execFile);
  const starts = [1, 2, 3].map(() => run(process.execPath, ['--input-type=module', '-e', script, folder]));
  const tokens = (await Promise.all(starts)).map(({ stdout }) => stdout.trim());
  expect(new Set(tokens)).toEqual(new Set([loadOperatorToken(folder)]));
});

test('half a token is replaced', () => {
  writeFileSync(operatorTokenPath(folder), 'op-cubit-short');
  const token = loadOperatorToken(folder);
  expect(readFileSync(operatorTokenPath(folder), 'utf8').trim()).toBe(token);
  expect(token).toHaveLength(52);
});

test('tokens of any length are compared', () => {
  expect(sameToken('abc', 'abc')).toBe(true);
  expect(sameToken('abc', 'abd')).toBe(false);
  expect(sameToken('abc', 'abcd')).toBe(false);
});
