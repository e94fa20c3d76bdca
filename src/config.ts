import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { defaultCatalogDir } from './catalog/load.ts';
import { ACCESS_POLICIES } from './core/commerce/access.ts';
import { CubitError } from './core/errors.ts';
import { defaultCacheDir } from './engine/llama/weights.ts';

/**
 * Every setting of a Cubit process, read in one place: defaults, then `config.json` in the data folder, then CUBIT_*
 * environment variables, then flags. docs/operations.md has the main ones.
 */
const integer = (min: number, max: number) => {
  const wanted = `has to be a whole number from ${min} to ${max}`;
  const read = (value: unknown) => (typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value);
  return z.preprocess(read, z.int(wanted).min(min, wanted).max(max, wanted));
};
const text = z.string('has to be text').min(1, 'has to be said');

const yesOrNo = z.union(
  [z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')],
  'has to be true or false',
);

const Config = z.strictObject({
  host: text.default('127.0.0.1'),
  port: integer(0, 65_535).default(8420),
  dataDir: text,
  /** A PostgreSQL database instead of the data folder's SQLite file: several control processes may share it. */
  databaseUrl: z
    .string()
    .regex(/^postgres(ql)?:\/\/\S+$/, 'has to be like postgres://user:password@host:5432/database')
    .nullable()
    .default(null),
  cacheDir: text,
  catalogDir: text,
  /** A weights file instead of the catalogue's, for templates on the embedded engine. */
  weights: text.nullable().default(null),
  logLevel: z.enum(['debug', 'info', 'warn', 'error'], 'has to be debug, info, warn or error').default('info'),
  /** Worker processes on this machine at most; default: one per core, so that no unit takes another's time. */
  workersMax: integer(0, 1024).nullable().default(null),
  /** Memory all workers may take, by their templates' need; default: 70 % of the machine's. */
  workerMemoryBytesMax: integer(1, Number.MAX_SAFE_INTEGER).nullable().default(null),
  bodyBytesMax: integer(1024, 2 ** 30).default(8 * 1024 * 1024),
  /** Without a byte of an answer for so long, a request is sent to a second replica too; null: never. */
  hedgeAfterMs: integer(1, 600_000).nullable().default(null),
  /** An endpoint is told that it is nearly full when it uses more than this of its units for longer than that. */
  warnPercent: integer(1, 1000).default(80),
  warnAfterMs: integer(1000, 86_400_000).default(60_000),
  /** How long running streams may go on after a stop was asked for. */
  drainMs: integer(0, 3_600_000).default(30_000),
  /** A bill is issued this long after its hour ended: one to two hours, DESIGN §7. */
  billIssueDelayMs: integer(3_600_000, 7_200_000).default(3_600_000),
  /** How long an order may wait for its units before it fails. */
  provisionMsMax: integer(1000, 86_400_000).default(600_000),
  /** Whether prepaid units serve between their expiry and their reclaim a day later. */
  graceServes: yesOrNo.default(true),
  /** Who may buy units: every tenant until it is revoked, or only those that applied and were granted. */
  access: z.enum(ACCESS_POLICIES, 'has to be open or by_application').default('open'),
  /** Units of one template that a tenant may hold without asking; null: as many as machines allow. */
  quotaUnits: integer(0, 1_000_000).nullable().default(100),
  /** Addresses and networks beside the public Internet that tenants' webhooks may reach, as in `10.20.0.0/16,127.0.0.1`. */
  webhookAllow: z.string('has to be text').default(''),
  /** Folders whose model files tenants may register by path, separated by commas; none: by https only. */
  modelFolders: z
    .string('has to be text')
    .default('')
    .transform((list) =>
      list
        .split(',')
        .map((folder) => folder.trim())
        .filter((folder) => folder !== ''),
    ),
  /** Of a model's file that a tenant registers, at most. */
  modelBytesMax: integer(1024, Number.MAX_SAFE_INTEGER).default(4 * 2 ** 30),
  /** Addresses beside the public Internet that registered models may be fetched from, as `webhookAllow`. */
  modelAllow: z.string('has to be text').default(''),
  /** The platform's mail server, for notices by e-mail; none: channels are webhooks only. */
  smtpUrl: z
    .string()
    .regex(/^smtps?:\/\/\S+$/, 'has to be like smtp://user:password@host:587')
    .nullable()
    .default(null),
  /** Sender of these e-mails, as in `Cubit <cubit@example.com>`; needed with smtpUrl. */
  smtpFrom: text.nullable().default(null),
  /** Gateway processes behind the port; 0: the main process is the gateway too. */
  workers: integer(0, 256).default(0),
  /** What gateways show the control plane; none: that of the file `gateway-token` in the data folder, made at the first start. */
  gatewayToken: text.nullable().default(null),
  /** The control plane that `cubit gateway` follows. */
  control: z
    .string()
    .regex(/^https?:\/\/[^\s/]+(\/\S*)?$/, 'has to be like https://cubit.example.com')
    .transform((url) => url.replace(/\/+$/, ''))
    .nullable()
    .default(null),
  /** Redis or Valkey by which gateways share what endpoints may take. */
  redis: z
    .string()
    .regex(/^rediss?:\/\/\S+$/, 'has to be like redis://user:password@host:6379/0, or rediss:// for TLS')
    .nullable()
    .default(null),
  /** Before every key in Redis, so that several installations can share one. */
  redisPrefix: text.default('cubit'),
  /** Creates the tenant `demo` with a wallet, a key and an endpoint at the first start. */
  demo: yesOrNo.default(true),
});

export type Config = z.output<typeof Config>;
type Flags = Partial<Record<keyof Config, unknown>>;

const VARIABLES = Object.fromEntries(
  Object.keys(Config.shape).map((name) => [name, `CUBIT_${name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`]),
) as Record<keyof Config, string>;

export function defaultDataDir(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'cubit');
}

/** Throws `config_invalid` with one line that names every bad setting, where it came from and what it wants. */
export function loadConfig(flags: Flags = {}, env: NodeJS.ProcessEnv = process.env): Config {
  const fromEnv: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries(VARIABLES)) {
    if (env[variable] !== undefined && env[variable] !== '') fromEnv[name] = env[variable];
  }
  const fromFlags = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const dataDir = String(fromFlags['dataDir'] ?? fromEnv['dataDir'] ?? defaultDataDir(env));
  const defaults = { dataDir, cacheDir: defaultCacheDir(env), catalogDir: defaultCatalogDir };
  const file = join(dataDir, 'config.json');
  const parsed = Config.safeParse({ ...defaults, ...readConfigFile(file), ...fromEnv, ...fromFlags });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => {
    const name = String(issue.path[0] ?? '');
    if (issue.code === 'unrecognized_keys') return `${file}: there is no setting ${issue.keys.join(', ')}`;
    if (name in fromFlags) return `${name === 'dataDir' ? '--data' : `--${name}`} ${issue.message}`;
    return `${name in fromEnv ? VARIABLES[name as keyof Config] : file}: ${name} ${issue.message}`;
  });
  throw new CubitError('config_invalid', `Bad configuration. ${faults.join('; ')}.`);
}

function readConfigFile(file: string): Record<string, unknown> {
  if (!existsSync(file)) return {};
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
    return value as Record<string, unknown>;
  } catch (error) {
    throw new CubitError('config_invalid', `Bad configuration. ${file} is not valid: ${(error as Error).message}.`);
  }
}
