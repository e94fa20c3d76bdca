import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** A gateway of others, as it is started for the comparison. `scripts/bench-peers.ts` installs them. */
export interface Peer {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
}

export function defaultPeersDir(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cubit', 'bench-peers');
}

/** LiteLLM wants a key of at least this shape; it is for this benchmark only. */
export const LITELLM_KEY = 'sk-local-benchmark-only-not-a-secret-000001';

/** All peers on `port`; `reason` where one is not installed. */
export function peerOf(
  name: string,
  folder: string,
  upstream: string,
  port: number,
  metricsPort: number,
): Peer | { readonly reason: string } {
  const file = FILES[name]?.map((part) => join(folder, part)) ?? [];
  const missing = file.find((one) => !existsSync(one));
  if (missing !== undefined) return { reason: 'not installed; node scripts/bench-peers.ts installs it' };
  const [program = ''] = file;
  const plain = { name, env: {}, headers: {} };
  const at = ['--host', '127.0.0.1', '--port', String(port)];
  // Both routers would take the same port for their metrics.
  const routed = [
    ...at,
    '--worker-urls',
    upstream,
    '--policy',
    'round_robin',
    '--prometheus-port',
    String(metricsPort),
  ];
  switch (name) {
    case 'vllm-router':
      return { ...plain, command: [program, ...routed] };
    case 'sglang-router':
      return { ...plain, command: [program, 'launch', ...routed] };
    case 'portkey':
      return {
        ...plain,
        command: [process.execPath, program, `--port=${port}`, '--headless'],
        headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${upstream}/v1` },
      };
    case 'litellm':
      return {
        ...plain,
        command: [program, '--config', litellmConfig(upstream), ...at, '--num_workers', '1'],
        env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
        headers: { authorization: `Bearer ${LITELLM_KEY}` },
      };
    default:
      return { ...plain, command: ['nginx', '-c', nginxConfig(upstream, port)] };
  }
}

export const PEERS = ['vllm-router', 'sglang-router', 'portkey', 'litellm', 'nginx'] as const;

const FILES: Readonly<Record<string, readonly string[]>> = {
  'vllm-router': ['vllm-router/bin/vllm-router'],
  'sglang-router': ['sglang-router/bin/sglang-router'],
  portkey: ['portkey/node_modules/@portkey-ai/gateway/build/start-server.js'],
  litellm: ['litellm/bin/litellm'],
};

function litellmConfig(upstream: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'cubit-bench-')), 'litellm.yaml');
  const params = `{model: openai/mock-model, api_base: ${upstream}/v1, api_key: sk-up}`;
  writeFileSync(
    file,
    `model_list:
  - model_name: mock-model
    litellm_params: ${params}
litellm_settings: {telemetry: false, drop_params: false}
general_settings: {master_key: ${LITELLM_KEY}, disable_spend_logs: true}
`,
  );
  return file;
}

function nginxConfig(upstream: string, port: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'cubit-bench-'));
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_max_body_size 16m;
  client_body_buffer_size 1m;
  keepalive_requests 1000000000;
  upstream mock { server ${upstream.replace('http://', '')}; keepalive 4096; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=8192;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`,
  );
  return file;
}
