import { join } from 'node:path';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../config.ts';
import { createLog } from '../log.ts';
import type { Cubit } from '../main.ts';
import { stopOnSignals } from './stop.ts';
import { weightsWithProgress } from './weights.ts';

interface UpFlags {
  host?: string;
  port?: string;
  log?: string;
  demo?: boolean;
  workers?: string;
  redis?: string;
}

/** `cubit up` (what `npm start` runs): everything in one process, until it is told to stop. */
export function addUp(program: Command): void {
  program
    .command('up')
    .description('start gateway, control plane and local workers; at the first start, sell one unit to a tenant `demo`')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'port to listen on; 0 = any free one (default: 8420)')
    .option('--log <file>', 'file for the structured log, or - for stderr (default: stderr when piped, else a file)')
    .option('--workers <n>', 'gateway processes behind the port (default: none, the main process is the gateway)')
    .option('--redis <url>', 'Redis or Valkey by which gateways on several machines share capacity (CUBIT_REDIS)')
    .option('--no-demo', 'create no demo tenant and endpoint')
    .action(async (flags: UpFlags) => {
      const options = program.opts<{ data?: string; json?: boolean }>();
      const config = loadConfig({
        dataDir: options.data,
        host: flags.host,
        port: flags.port,
        workers: flags.workers,
        redis: flags.redis,
        demo: flags.demo === false ? false : undefined,
      });
      await up(config, { log: flags.log, json: options.json ?? false });
    });
}

async function up(config: Config, options: { log: string | undefined; json: boolean }): Promise<void> {
  const startedAt = performance.now();
  const logFile = logTarget(config, options.log);
  const log = createLog({ level: config.logLevel, file: logFile });
  const say = (line: string) => (options.json ? undefined : console.log(line));
  // Here, so that the other commands start without the whole server.
  const { startCubit } = await import('../main.ts');
  const cubit = await startCubit(config, {
    log,
    getWeights: (weights) => weightsWithProgress(weights, config.cacheDir, config.weights),
  });
  const stop = stopOnSignals(process, cubit, { drainMs: config.drainMs, say });
  if (config.host !== '127.0.0.1' && config.host !== '::1' && config.host !== 'localhost') {
    say(`Listening on ${config.host}: everyone who reaches this machine can try keys. Put TLS in front of it.`);
  }
  try {
    const demo = config.demo ? await cubit.sellDemo((line) => say(line)) : null;
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    if (options.json) {
      console.log(
        JSON.stringify({ event: 'ready', url: cubit.url, dataDir: config.dataDir, pid: process.pid, ...demo }),
      );
    } else {
      console.log(banner(cubit.url, config, seconds, logFile, demo));
    }
  } catch (error) {
    // Stopped while the unit was starting: that is no failure.
    if (!stop.asked) {
      await cubit.close(0);
      throw error;
    }
  }
  await stop.done;
  say('Stopped.');
}

/** A person at a terminal gets a quiet screen and a log file; a supervisor gets the log on stderr. */
function logTarget(config: Config, wanted: string | undefined): string | null {
  if (wanted === '-') return null;
  if (wanted !== undefined) return wanted;
  return process.stderr.isTTY ? join(config.dataDir, 'logs', 'cubit.log') : null;
}

type Demo = Awaited<ReturnType<Cubit['sellDemo']>>;

function banner(url: string, config: Config, seconds: string, logFile: string | null, demo: Demo | null): string {
  const lines = ['', `Cubit is ready in ${seconds} s at ${url}`];
  if (demo !== null) {
    const key = demo.apiKey ?? '$CUBIT_API_KEY';
    lines.push(
      demo.apiKey === null
        ? `Endpoint \`${demo.endpoint}\` has its unit; its key was shown at the first start (another: npx cubit key create mine --tenant demo).`
        : `API key of tenant \`demo\`, shown only now: ${demo.apiKey}`,
      '',
      'Try it:',
      '',
      `  curl -s ${url}/v1/chat/completions -H "authorization: Bearer ${key}" -H 'content-type: application/json' \\`,
      `    -d '{"model":"${demo.endpoint}","messages":[{"role":"user","content":"Say hello in five words."}],"max_tokens":24,"temperature":0}'`,
      '',
      '  import OpenAI from "openai";',
      `  const client = new OpenAI({ baseURL: "${url}/v1", apiKey: ${demo.apiKey === null ? 'process.env.CUBIT_API_KEY' : `"${key}"`} });`,
      '  const reply = await client.chat.completions.create({',
      `    model: "${demo.endpoint}", messages: [{ role: "user", content: "Say hello in five words." }], max_tokens: 24, temperature: 0 });`,
      '  console.log(reply.choices[0].message.content, reply.usage);',
    );
  }
  lines.push(
    '',
    `API ${url}/api/v1/docs · metrics ${url}/metrics · data ${config.dataDir}${logFile === null ? '' : ` · log ${logFile}`}`,
  );
  lines.push('Ctrl-C stops it.');
  return lines.join('\n');
}
