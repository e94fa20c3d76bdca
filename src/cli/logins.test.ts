import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepLogin, loginFor, loginsPath } from './logins.ts';

let env: NodeJS.ProcessEnv;
beforeEach(() => {
  env = { XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), 'cubit-logins-')) };
});
afterEach(() => rmSync(env['XDG_CONFIG_HOME'] as string, { recursive: true }));

test('each Cubit has its own login, readable by its user only', () => {
  expect(loginFor('http://a', env)).toBeNull();
  keepLogin('http://a', 'one', env);
  keepLogin('http://b', 'two', env);
  keepLogin('http://a', 'three', env);
  expect([loginFor('http://a', env), loginFor('http://b', env), loginFor('http://c', env)]).toEqual([
    'three',
    'two',
    null,
  ]);
  expect(statSync(loginsPath(env)).mode & 0o777).toBe(0o600);
  keepLogin('http://a', null, env);
  expect([loginFor('http://a', env), loginFor('http://b', env)]).toEqual([null, 'two']);
});

test('forgetting what was never kept is no failure', () => {
  keepLogin('http://a', null, env);
  expect(loginFor('http://a', env)).toBeNull();
});

test('a file that is no list of logins says so and is not overwritten', () => {
  keepLogin('http://a', 'one', env);
  writeFileSync(loginsPath(env), '["one"]');
  expect(() => loginFor('http://a', env)).toThrow(/delete it and log in again/);
  expect(() => keepLogin('http://b', 'two', env)).toThrow(/delete it and log in again/);
});
