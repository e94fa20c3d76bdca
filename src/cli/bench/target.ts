import { randomUUID } from 'node:crypto';
import type { Target } from '../../bench/run.ts';
import { CubitError } from '../../core/errors.ts';
import { type ClientOptions, createClient } from '../client.ts';
import { tenantFor } from '../tenant.ts';
import type { BenchFlags, Fail } from './flags.ts';

export interface Reached {
  readonly target: Target;
  /** Gives back what was made for the test. */
  release(): Promise<void>;
}

type Options = ClientOptions & { readonly tenant?: string };

/**
 * --endpoint: this Cubit (or the one at --url), with a key of its own that is revoked afterwards, unless one is given.
 * --model with --url: any OpenAI-compatible server. Throws `invalid_request` when a named variable is not set.
 */
export async function reach(fail: Fail, flags: BenchFlags, options: Options): Promise<Reached> {
  const extras = { headers: headersOf(fail, flags.header ?? []), extraBody: bodyOf(fail, flags.body) };
  if ((flags.endpoint === undefined) === (flags.model === undefined)) {
    return fail('say one of --endpoint <name> (of a Cubit) and --model <name> (of any server, with --url)');
  }
  if (flags.model !== undefined) {
    if (options.url === undefined) return fail('--model needs --url: the server to load');
    const target = { url: options.url, apiKey: givenKey(flags) ?? '', model: flags.model, ...extras };
    return { target, release: async () => undefined };
  }
  const model = flags.endpoint as string;
  const token = options.token ?? process.env['CUBIT_TOKEN'];
  const apiKey = givenKey(flags) ?? (token?.startsWith('sk-') ? token : undefined);
  const client = createClient({ ...options, token: apiKey ?? options.token });
  if (apiKey !== undefined)
    return { target: { url: client.url, apiKey, model, ...extras }, release: async () => undefined };
  const tenantId = await tenantFor(client, options.tenant ?? process.env['CUBIT_TENANT'], true);
  const name = `bench-${randomUUID().slice(0, 8)}`;
  const made = (await client.call('POST', '/keys', { tenantId, name, scope: 'inference' })) as Made;
  return {
    target: { url: client.url, apiKey: made.key, model, ...extras },
    release: async () => {
      await client.call('POST', `/keys/${made.keyId}/revoke`, {});
    },
  };
}

interface Made {
  readonly keyId: string;
  readonly key: string;
}

function givenKey({ apiKeyEnv }: BenchFlags): string | undefined {
  if (apiKeyEnv === undefined) return undefined;
  const key = process.env[apiKeyEnv];
  if (key !== undefined && key !== '') return key;
  throw new CubitError('invalid_request', `The environment variable ${apiKeyEnv} is not set.`);
}

function headersOf(fail: Fail, headers: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    headers.map((header) => {
      const colon = header.indexOf(':');
      if (colon < 1) return fail(`--header wants “name: value”, not “${header}”`);
      return [header.slice(0, colon).trim().toLowerCase(), header.slice(colon + 1).trim()];
    }),
  );
}

function bodyOf(fail: Fail, text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  return fail(`--body wants a JSON object such as '{"ignore_eos":true}', not ${text}`);
}
