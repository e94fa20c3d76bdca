import type { Command } from 'commander';
import { CubitError } from '../core/errors.ts';
import { createClient } from './client.ts';
import { errorJson, renderError } from './render.ts';

/** `cubit adopt URL…`: servers that already run become replicas of a template; nothing is redeployed. */
export function addAdopt(program: Command): void {
  program
    .command('adopt')
    .description(
      'take OpenAI-compatible servers that already run (vLLM, SGLang, llama-server) as replicas of a template',
    )
    .argument('<url...>', 'base URLs, for example http://10.0.0.5:8000')
    .requiredOption('--template <id>', 'the template whose units they supply (`cubit template list`)')
    .option('--model <name>', 'the model’s name on these servers (default: the only one they list)')
    .option('--role <role>', 'unified, or a part of a disaggregated unit: prefill, decode', 'unified')
    .option('--bootstrap-port <port>', 'of SGLang prefill servers (default: 8998)')
    .option('--kv-events <address>', 'where the server publishes KV cache events, as in tcp://10.0.0.5:5557')
    .option('--kv-replay <address>', 'where it replays events that were missed')
    .option('--api-key-env <variable>', 'environment variable that holds the servers’ API key')
    .action(async (urls: string[], flags: Flags) => {
      if (urls.length > 1 && flags.kvEvents !== undefined) {
        program.error('error: --kv-events is one server’s: adopt them one by one', { exitCode: 2 });
      }
      const client = createClient(program.opts());
      const apiKey = flags.apiKeyEnv === undefined ? undefined : process.env[flags.apiKeyEnv];
      if (flags.apiKeyEnv !== undefined && apiKey === undefined) {
        throw new CubitError('invalid_request', `The environment variable ${flags.apiKeyEnv} is not set.`);
      }
      const { json } = program.opts<{ json?: boolean }>();
      const items: unknown[] = [];
      const failures: object[] = [];
      for (const url of urls) {
        const body = { serverUrl: url, ...bodyOf(flags), apiKey };
        try {
          const server = (await client.call('POST', '/servers', body)) as Adopted;
          items.push(server);
          if (!json) console.log(`${url}: adopted as ${server.serverId} (${server.dialect}, ${server.model})`);
        } catch (error) {
          if (!(error instanceof CubitError)) throw error;
          failures.push({ url, ...errorJson(error) });
          if (!json) console.error(renderError(error));
        }
      }
      if (json) console.log(JSON.stringify({ items, failures }, null, 2));
      if (failures.length > 0) process.exitCode = 1;
    });
}

interface Flags {
  readonly template: string;
  readonly model?: string;
  readonly role: string;
  readonly bootstrapPort?: string;
  readonly kvEvents?: string;
  readonly kvReplay?: string;
  readonly apiKeyEnv?: string;
}

function bodyOf({ bootstrapPort, kvEvents, kvReplay, model, role, template: templateId }: Flags): object {
  const port = bootstrapPort === undefined ? undefined : Number(bootstrapPort);
  return { templateId, model, role, bootstrapPort: port, kvEvents, kvReplay };
}

interface Adopted {
  readonly serverId: string;
  readonly dialect: string;
  readonly model: string;
}
