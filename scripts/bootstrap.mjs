#!/usr/bin/env node
// Runs on the machine's own Node ≥ 20 with nothing installed: installs what is missing or stale, then hands over to the
// packaged Node 24. `bootstrap.mjs <cubit arguments…>` runs the CLI; `bootstrap.mjs --test [vitest arguments…]` all tests.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.cubit-installed');
const windows = process.platform === 'win32';
const packagedNode = join(modules, 'node', 'bin', windows ? 'node.exe' : 'node');

function fail(message) {
  console.error(`cubit: ${message}`);
  process.exit(1);
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  fail(`Node ${process.versions.node} is too old: install Node 20 or newer, then run this again.`);
}

/** What the installed tree depends on; another lockfile or platform means another install. */
function wantedStamp() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}`;
}

function installed() {
  return existsSync(packagedNode) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wantedStamp();
}

function install() {
  const startedAt = Date.now();
  console.error('cubit: installing dependencies (first start or a changed lockfile; about a minute) …');
  rmSync(stampFile, { force: true });
  // Not `npm ci`: it fails where a registry lacks another platform's optional packages. Versions and checksums come
  // from the lockfile all the same, and --no-save leaves it as it is. Dev tools also where NODE_ENV says production.
  const npm = spawnSync(windows ? 'npm.cmd' : 'npm', ['install', '--no-save', '--include=dev', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: windows,
  });
  if (npm.error) fail(`npm could not be started (${npm.error.message}): install npm 10 or newer.`);
  if (npm.status !== 0) {
    fail('npm install failed, see above. Check the network and free disk space (about 700 MB), then run this again.');
  }
  const probe = spawnSync(packagedNode, ['--version'], { encoding: 'utf8' });
  if (probe.status !== 0) {
    fail(
      `the packaged Node did not install. Allow the package "node" to run its install script, or use npm 10 or newer.`,
    );
  }
  writeFileSync(stampFile, wantedStamp());
  console.error(
    `cubit: installed in ${((Date.now() - startedAt) / 1000).toFixed(0)} s, running on Node ${probe.stdout.trim()}`,
  );
}

const env = {
  // Compiled code is kept, so that later commands start in half the time.
  NODE_COMPILE_CACHE: join(modules, '.cache', 'compile'),
  ...process.env,
  PATH: `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}`,
};

/** Runs a program on the packaged Node, passes signals on, resolves with its exit code. */
function handOver(args) {
  return new Promise((resolve) => {
    const child = spawn(packagedNode, args, { cwd: process.cwd(), env, stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.on('error', (error) => fail(`could not start Node 24: ${error.message}`));
    child.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1)));
  });
}

/** Some tests want a real Redis or Valkey. Only tests: nothing else asks for one. */
function bringRedis() {
  const has = () => ['redis-server', 'valkey-server'].some((name) => spawnSync(name, ['--version']).status === 0);
  if (has()) return;
  if (process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0) {
    console.error('cubit: installing the Debian package redis-server for the tests …');
    const run = (...args) =>
      spawnSync('apt-get', args, {
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
        stdio: ['ignore', 'ignore', 'inherit'],
        timeout: 300_000,
      });
    run('update', '--quiet');
    run('install', '--yes', '--quiet', '--no-install-recommends', 'redis-server');
    if (has()) return;
  }
  console.error('cubit: tests that want a Redis will fail: install it, on Debian with: apt-get install redis-server');
}

async function runTests(vitestArguments) {
  process.chdir(root);
  bringRedis();
  const steps = [
    ['weights', [join(root, 'src/cli/cubit.ts'), 'weights']],
    ['types', [join(modules, 'typescript/bin/tsc'), '--noEmit']],
    ['lint', [join(modules, '@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.']],
    ['unused code', [join(modules, 'knip/bin/knip.js')]],
    ['tests', [join(modules, 'vitest/vitest.mjs'), 'run', ...vitestArguments]],
  ];
  for (const [name, args] of steps) {
    console.error(`\ncubit test: ${name}`);
    const code = await handOver(args);
    if (code !== 0) return code;
  }
  return 0;
}

if (!installed()) install();
const [first, ...rest] = process.argv.slice(2);
process.exitCode =
  first === '--test'
    ? await runTests(rest)
    : await handOver([join(root, 'src/cli/cubit.ts'), ...process.argv.slice(2)]);
