import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultPeersDir } from '../src/bench/gateway/peers.ts';

/**
 * Installs the gateways that `npm run bench:gateway` compares with, each pinned, into a folder of its own that can be
 * deleted: `node scripts/bench-peers.ts [FOLDER]` (default: the user's cache). Nothing else of the machine is changed,
 * except nginx, which Debian's package manager installs where this user may. What cannot be had is said and left out.
 */
const folder = process.argv[2] ?? defaultPeersDir();

/** sglang-router's wheel says what it needs; Portkey, unpinned, answers every stream with a 500. */
const PYTHON: Readonly<Record<string, readonly string[]>> = {
  'vllm-router': ['vllm-router==0.1.17'],
  'sglang-router': ['sglang-router==0.3.2'],
  litellm: ['litellm[proxy]==1.106.2'],
};
const PORTKEY = {
  private: true,
  dependencies: { '@portkey-ai/gateway': '1.15.2' },
  overrides: { hono: '4.9.7', '@hono/node-server': '1.13.5' },
};

function run(command: string, args: readonly string[], cwd?: string): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
}

function step(name: string, work: () => void): void {
  process.stdout.write(`${name}: `);
  try {
    work();
    console.log('installed');
  } catch (error) {
    const said = (error as { stderr?: Buffer }).stderr?.toString() ?? (error as Error).message;
    console.log(`not installed (${said.trim().split('\n').at(-1)?.slice(0, 200)})`);
  }
}

mkdirSync(folder, { recursive: true });
for (const [name, packages] of Object.entries(PYTHON)) {
  const home = join(folder, name);
  step(name, () => {
    if (!existsSync(join(home, 'bin', 'python'))) run('python3', ['-m', 'venv', home]);
    run(join(home, 'bin', 'pip'), ['install', '--quiet', ...packages]);
  });
}
step('portkey', () => {
  const home = join(folder, 'portkey');
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), JSON.stringify(PORTKEY, null, 2));
  run('npm', ['install', '--omit=dev', '--no-audit', '--no-fund', '--ignore-scripts'], home);
});
step('nginx', () => {
  try {
    run('nginx', ['-v']);
  } catch {
    run('apt-get', ['install', '--yes', '--quiet', 'nginx-light']);
  }
});
console.log(`in ${folder}`);
