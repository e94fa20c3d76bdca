import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { type Config, loadConfig } from '../config.ts';
import { gatewayTokenPath, readToken } from '../control/operator-token.ts';
import { CubitError } from '../core/errors.ts';
import { createLog } from '../log.ts';
import { stopOnSignals } from './stop.ts';

interface GatewayFlags {
  control?: string;
  host?: string;
  port?: string;
  name?: string;
  redis?: string;
  log?: string;
  behind?: boolean;
}

/** `cubit gateway`: the data plane alone, beside a control plane in another process or on another machine. */
export function addGateway(program: Command): void {
  program
    .command('gateway')
    .description('start a gateway alone: it follows a control plane (`cubit up`), and goes on when that is down')
    .option('--control <url>', 'the control plane: https://…, or http:// on this machine (default: CUBIT_CONTROL)')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'port to listen on; 0 = any free one (default: 8420)')
    .option('--name <name>', 'names its folder `gateways/<name>` in the data folder (default: by its port)')
    .option('--redis <url>', 'Redis or Valkey by which gateways share capacity (default: CUBIT_REDIS)')
    .option('--log <file>', 'file for the structured log, or - for stderr (default: stderr)')
    .addOption(new Option('--behind', 'one of the workers of `cubit up`').hideHelp())
    .addHelpText('after', '\nThe gateway token is CUBIT_GATEWAY_TOKEN, else the file gateway-token in the data folder.')
    .action(async (flags: GatewayFlags) => {
      const options = program.opts<{ data?: string; json?: boolean }>();
      const config = loadConfig({
        dataDir: options.data,
        host: flags.host,
        port: flags.port,
        control: flags.control,
        redis: flags.redis,
      });
      const name = flags.name ?? `port-${config.port}`;
      if (!/^[\w.-]{1,64}$/.test(name))
        program.error('error: --name takes letters, digits, _ . and -', { exitCode: 2 });
      if (config.control === null) {
        program.error('error: say which control plane: --control URL, or CUBIT_CONTROL', { exitCode: 2 });
      }
      await gateway(config, { ...flags, name, control: config.control, json: options.json ?? false });
    });
}

async function gateway(
  config: Config,
  flags: GatewayFlags & { readonly name: string; readonly control: string; readonly json: boolean },
): Promise<void> {
  const log = createLog({
    level: config.logLevel,
    file: flags.log === undefined || flags.log === '-' ? null : flags.log,
  });
  const say = (line: string) => (flags.json ? undefined : console.log(line));
  const { startGatewayProcess } = await import('../gateway-process.ts');
  const running = await startGatewayProcess({
    config,
    controlUrl: flags.control,
    token: tokenOf(config),
    folder: join(config.dataDir, 'gateways', flags.name),
    log,
    shared: flags.behind ?? false,
  });
  const stop = stopOnSignals(process, running, { drainMs: config.drainMs, say });
  if (flags.behind) endWithParent(() => void running.close(0).finally(() => process.exit(0)));
  say(`Gateway at ${running.url}; waits for the control plane at ${flags.control} …`);
  await Promise.race([running.ready, stop.done]);
  if (flags.json) console.log(JSON.stringify({ event: 'ready', url: running.url, pid: process.pid, name: flags.name }));
  else if (!stop.asked) console.log(`Ready. Ctrl-C stops it.`);
  await stop.done;
  process.stdin.destroy();
  say('Stopped.');
}

/** The parent holds the other end of our stdin: when it dies, by kill -9 too, that ends. */
function endWithParent(end: () => void): void {
  process.stdin.on('end', end).on('error', end).resume();
}

function tokenOf({ gatewayToken, dataDir }: Config): string {
  if (gatewayToken !== null) return gatewayToken;
  const path = gatewayTokenPath(dataDir);
  const token = existsSync(path) ? readToken(path) : null;
  if (token !== null) return token;
  throw new CubitError(
    'config_invalid',
    `There is no gateway token: set CUBIT_GATEWAY_TOKEN to what the file gateway-token in the control plane's data folder says (${path} is not there).`,
  );
}
