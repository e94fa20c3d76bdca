import { join } from 'node:path';
import type { Command } from 'commander';
import { DEFAULT_TEMPLATE_ID } from '../../catalog/default.ts';
import { loadCatalog } from '../../catalog/load.ts';
import type { Catalog, Template } from '../../catalog/schema.ts';
import { type Config, loadConfig } from '../../config.ts';
import { CubitError } from '../../core/errors.ts';
import { createClient } from '../client.ts';
import type { ProfileFlags } from '../profile.ts';
import { endpointTarget, localTarget, type Target, urlTarget } from './target.ts';

/** A number of the command line between two bounds; ends the program with usage where it is none. */
export function numberFlag(program: Command, name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max) return value;
  return program.error(`error: --${name} wants a number from ${min} to ${max}, not “${text}”`, { exitCode: 2 });
}

export function listFlag(program: Command, name: string, text: string, min: number, max: number): number[] {
  return [...new Set(text.split(',').map((part) => numberFlag(program, name, part, min, max)))].sort((a, b) => a - b);
}

export interface Opened {
  readonly target: Target;
  /** null: a server that no template describes. */
  readonly template: Template | null;
  readonly config: Config;
  readonly catalog: Catalog;
}

/** The engine that the flags name, started or connected to. */
export async function openTarget(program: Command, flags: ProfileFlags): Promise<Opened> {
  const options = program.opts<{ url?: string; data?: string; token?: string }>();
  if (flags.endpoint !== undefined && (flags.template !== undefined || flags.model !== undefined)) {
    program.error('error: --endpoint names template and model itself: leave --template and --model out', {
      exitCode: 2,
    });
  }
  const config = loadConfig({ dataDir: options.data });
  const catalog = await loadCatalog(config.catalogDir, join(config.dataDir, 'profiles'));
  const apiKey = apiKeyOf(flags);
  if (flags.endpoint !== undefined) {
    const client = createClient(options);
    return { config, catalog, ...(await endpointTarget(client, flags.endpoint, apiKey, catalog)) };
  }
  if (options.url === undefined) {
    const template = templateOf(catalog, flags.template ?? DEFAULT_TEMPLATE_ID);
    return { config, catalog, template, target: await localTarget(catalog, template, config) };
  }
  const template = flags.template === undefined ? null : templateOf(catalog, flags.template);
  const whole = (name: string, text: string | undefined, max: number) =>
    text === undefined ? null : Math.round(numberFlag(program, name, text, 1, max));
  const target = await urlTarget(
    {
      url: options.url,
      model: flags.model,
      apiKey,
      contextTokens: whole('context', flags.context, 10_000_000),
      sequences: whole('sequences', flags.sequences, 4_096),
      prefillTokensMax: whole('prefill-tokens', flags.prefillTokens, 10_000_000),
    },
    template,
  );
  return { config, catalog, template, target };
}

function templateOf(catalog: Catalog, id: string): Template {
  const template = catalog.templates.get(id);
  if (template === undefined) {
    throw new CubitError('not_found', `There is no template ${id}. \`cubit template list\` has all.`);
  }
  return template;
}

function apiKeyOf({ apiKeyEnv }: ProfileFlags): string | null {
  if (apiKeyEnv === undefined) return null;
  const value = process.env[apiKeyEnv];
  if (value === undefined || value === '') {
    throw new CubitError('invalid_request', `The environment variable ${apiKeyEnv} is not set.`);
  }
  return value;
}
