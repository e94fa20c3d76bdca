import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getRequestListener } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OPERATOR_TOKEN, type TestControl, testControl } from '../control/fixture.ts';
import { controlApp } from '../control/http.ts';
import { CubitError } from '../core/errors.ts';

// The CLI as it is typed, against the control API without an engine.
const program = fileURLToPath(new URL('./cubit.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cubit-cli-'));
let control: TestControl;
let server: Server;
let url: string;

beforeAll(async () => {
  control = await testControl();
  server = createServer(getRequestListener(controlApp(control.deps).fetch)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await control.store.close();
  rmSync(folder, { recursive: true });
});

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Options {
  /** null: none is said. */
  readonly token?: string | null;
  readonly stdin?: string;
  readonly stdout?: number;
}

async function cubit(args: readonly string[], options: Options = {}): Promise<Result> {
  const { CUBIT_TOKEN: _mine, ...others } = process.env;
  const token = options.token === undefined ? OPERATOR_TOKEN : options.token;
  const own = { CUBIT_URL: url, CUBIT_DATA_DIR: folder, XDG_CONFIG_HOME: folder };
  const env = { ...others, ...own, ...(token === null ? {} : { CUBIT_TOKEN: token }) };
  const child = spawn(process.execPath, [program, ...args], {
    env,
    stdio: ['pipe', options.stdout ?? 'pipe', 'pipe'],
  });
  child.stdin?.on('error', () => {}); // it may not read
  child.stdin?.end(options.stdin ?? '');
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk: Buffer) => {
      texts[name] += chunk.toString();
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

const words = (line: string) => line.split(' ');

describe('one tenant after the other', () => {
  test('what can be done without saying the tenant while there is one, and what to say when there are several', async () => {
    const none = await cubit(words('wallet show'));
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('cubit tenant create') });
    expect(await cubit(words('tenant create initech'))).toMatchObject({ code: 0 });
    expect(await cubit(words('wallet top-up --amount 100'))).toMatchObject({ code: 0 });
    const made = await cubit([...words('--json endpoint create chat'), '--models', 'modelId=alpha,units=1']);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(made.stdout)).toMatchObject({ name: 'chat', models: [{ modelId: 'alpha', units: 1 }] });
    expect(await cubit(words('endpoint show chat'))).toMatchObject({ code: 0 });
    expect(await cubit(words('tenant show initech'))).toMatchObject({ code: 0 });

    expect(await cubit(words('tenant create globex'))).toMatchObject({ code: 0 });
    for (const line of [
      'wallet show',
      'wallet top-up --amount 1',
      'key create mine',
      'endpoint show chat',
      'bill preview',
    ]) {
      const asked = await cubit(words(line));
      expect(asked, line).toMatchObject({ code: 2, stdout: '' });
      expect(asked.stderr, line).toMatch(
        /^cubit: .*--tenant \((globex, initech|initech, globex)\)\. \[invalid_request\]\n$/,
      );
    }
    expect(await cubit(words('endpoint list'))).toMatchObject({ code: 0, stdout: expect.stringContaining('chat') });
    const wallet = await cubit(words('wallet show --tenant initech'));
    expect(wallet.stdout).toContain('balance: 100.000000 CNY');
    expect(await cubit(words('wallet top-up --tenant globex --amount 2 --json'))).toMatchObject({ code: 0 });
  });

  test('a tenant’s own key', async () => {
    const { managerKey } = await control.tenant();
    const own = await cubit(words('wallet show'), { token: managerKey });
    expect(own).toMatchObject({ code: 0, stdout: expect.stringContaining('1000.000000') });
    const foreign = await cubit(words('wallet show --tenant initech'), { token: managerKey });
    expect(foreign).toMatchObject({ code: 2, stderr: expect.stringContaining('leave --tenant out') });
    expect(await cubit(words('tenant list'), { token: managerKey })).toMatchObject({ code: 1 });
  });
});

describe('people', () => {
  test('from the invitation to the login that every command uses, and out again', async () => {
    const { tenantId } = await control.tenant();
    const invite = `--json member invite --tenant ${tenantId} --email ada@example.com --name Ada --role developer`;
    const { invitation } = JSON.parse((await cubit(words(invite))).stdout);
    const accept = `--json member accept --invitation ${invitation}`;
    // Whoever takes it has nothing yet.
    const accepted = await cubit(words(accept), { token: null });
    expect(accepted).toMatchObject({ code: 0, stderr: '' });
    const { secret } = JSON.parse(accepted.stdout).token;

    expect(await cubit(words('whoami'), { token: null })).toMatchObject({ code: 1, stdout: '' });
    const login = await cubit(words('login'), { token: null, stdin: `${secret}\n` });
    expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('role: developer') });
    expect(login.stdout).not.toContain(secret);
    expect(statSync(join(folder, 'cubit', 'logins.json')).mode & 0o777).toBe(0o600);
    const me = await cubit(words('--json whoami'), { token: null });
    expect(JSON.parse(me.stdout)).toMatchObject({ role: 'developer', member: { email: 'ada@example.com' } });
    const order = await cubit(words('order new ep-x --units 1'), { token: null });
    expect(order).toMatchObject({ code: 1, stderr: expect.stringMatching(/permission buy.*owner, admin.*developer/) });
    // What is said on the line comes first.
    const operator = await cubit(words('--json whoami'));
    expect(JSON.parse(operator.stdout)).toMatchObject({ actor: 'operator' });

    expect(await cubit(words('logout'), { token: null })).toMatchObject({ code: 0 });
    expect(await cubit(words('whoami'), { token: null })).toMatchObject({ code: 1 });
  });

  test.each([
    ['nothing', '', 2],
    ['what is no token', 'pt-cubit-nobody\n', 1],
  ])('a login with %s keeps nothing', async (_case, stdin, code) => {
    const login = await cubit(words('login'), { token: null, stdin });
    expect(login).toMatchObject({ code, stdout: '' });
    expect(existsSync(join(folder, 'cubit', 'logins.json'))).toBe(false);
  });
});

describe('wrong input is one line that helps', () => {
  test.each([
    ['endpoint list x', 2, /too many arguments/],
    ['endpoint create e --tenant initech', 2, /--models <value>/],
    ['endpoint create e --tenant initech --models modelId=alpha,units=one', 2, /“one” is not a number/],
    ['endpoint create e --tenant initech --models modelId=alpha,unit=1', 2, /no “unit”; there are modelId/],
    ['endpoint create e --tenant initech --models modelId=delta,units=1', 2, /no model delta/],
    ['endpoint create e --tenant initech --models modelId=alpha,units=9999', 1, /do not fit/],
    ['endpoint create chat --tenant initech --models modelId=alpha,units=1', 1, /already/],
    ['server list --removed maybe', 2, /yes or no/],
    ['server list --limit many', 2, /not a number/],
    ['group show ig-nope', 1, /no instance group ig-nope/],
    ['wallet top-up --tenant nobody --amount 1', 1, /no tenant nobody/],
    ['wallet top-up --tenant initech --amount 1e3', 2, /decimal number/],
    ['completion tcsh', 2, /bash, zsh and fish/],
  ])('%s', async (line, code, message) => {
    const result = await cubit(words(line));
    expect(result).toMatchObject({ code, stdout: '' });
    const told = result.stderr.replace('(add --help for what there is)\n', '');
    expect(told).toMatch(message);
    expect(told.trim().split('\n')).toHaveLength(1);
  });

  test.each([
    ['--json', 2],
    ['--json nonsense', 2],
    ['endpoint create --json', 2],
    ['group show ig-nope --json', 1],
    ['--json wallet show', 2],
  ])('%s: with --json the error is JSON too', async (line, code) => {
    const result = await cubit(words(line));
    expect(result).toMatchObject({ code, stdout: '' });
    expect(JSON.parse(result.stderr)).toEqual({
      error: { code: expect.any(String), message: expect.stringMatching(/\w/), details: expect.any(Object) },
    });
  });
});

test('adopt tells of each URL, and exits 1 when one failed', async () => {
  control.probe = async ({ url: asked }) => {
    if (asked.includes('bad')) throw new CubitError('engine_unavailable', 'It cannot be reached.');
    return { dialect: 'vllm', models: ['alpha'], ok: true, reason: null };
  };
  const line = 'adopt http://good:1 http://bad:2 --template alpha-local';
  const people = await cubit(words(line));
  expect(people).toMatchObject({ code: 1, stdout: expect.stringMatching(/^http:\/\/good:1: adopted as srv-/) });
  expect(people.stderr).toMatch(/^cubit: http:\/\/bad:2 cannot be adopted.*\n$/);
  const programs = await cubit(words(`--json ${line.replace('good:1', 'good:3')}`));
  expect(programs).toMatchObject({ code: 1, stderr: '' });
  expect(JSON.parse(programs.stdout)).toMatchObject({
    items: [{ url: 'http://good:3' }],
    failures: [{ url: 'http://bad:2', error: { code: 'engine_unavailable' } }],
  });
  const unset = await cubit(words('adopt http://good:4 --template alpha-local --api-key-env NOT_SET_ANYWHERE'));
  expect(unset).toMatchObject({ code: 2, stderr: expect.stringContaining('NOT_SET_ANYWHERE') });
});

test('help shows the flags that count everywhere', async () => {
  const { code, stdout } = await cubit(words('wallet top-up --help'));
  expect(code).toBe(0);
  for (const flag of ['--amount', '--tenant <tenant>', '--json', '--url']) expect(stdout).toContain(flag);
});

test('output to a full disk fails without a stack trace', async ({ skip }) => {
  if (process.platform !== 'linux') skip('only Linux has /dev/full');
  const full = openSync('/dev/full', 'w');
  const result = await cubit(words('template list'), { stdout: full });
  expect(result).toMatchObject({ code: 1, stderr: '' });
  closeSync(full);
});

test('a reader that goes away is no failure', async () => {
  const child = spawn('sh', ['-c', `"$0" "$1" template list | true; echo ok`, process.execPath, program], {
    env: { ...process.env, CUBIT_URL: url, CUBIT_TOKEN: OPERATOR_TOKEN },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  await once(child, 'close');
  expect(output).toBe('ok\n');
});
