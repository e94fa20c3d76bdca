import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { z } from 'zod';
import { CubitError, toCubitError } from '../../core/errors.ts';
import { readJson, sendError, sendJson } from './http.ts';
import { KV_SUFFIX } from './kv-state.ts';
import { type PooledPrefix, PrefixPool } from './prefix-pool.ts';

const Prompt = z.object({ salt: z.string().max(1_024), tokens: z.array(z.int().nonnegative()).min(1).max(1_048_576) });
const Offer = Prompt.extend({ state: z.uuid() });

/** Beside its socket: whoever removes the one knows the other. */
export function poolFolderOf(socketPath: string): string {
  return `${socketPath}-pool`;
}

/**
 * The cache machine of a three-type unit: it keeps KV states of prompts that prefill workers give it, at most so many bytes,
 * and lends the one that fits a prompt best. A state is a file: giving renames it, lending links it, so neither copies.
 */
export class CacheServer {
  readonly http: Server;
  readonly #kvFolder: string;
  readonly #poolFolder: string;
  readonly #pool: PrefixPool;
  #draining = false;

  /** `poolFolder` is its own and is made empty; it has to be on the file system of `kvFolder`. */
  constructor(options: { readonly kvFolder: string; readonly poolFolder: string; readonly bytesMax: number }) {
    this.#kvFolder = options.kvFolder;
    this.#poolFolder = options.poolFolder;
    this.#pool = new PrefixPool(options.bytesMax);
    rmSync(this.#poolFolder, { recursive: true, force: true });
    mkdirSync(this.#poolFolder, { mode: 0o700 });
    this.http = createServer(
      { keepAliveTimeout: 600_000 },
      (request, response) => void this.#handle(request, response),
    );
  }

  /** Nothing runs here that would have to end. */
  drain(): void {
    this.#draining = true;
    this.http.close();
    this.http.closeAllConnections();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      switch (`${request.method} ${request.url}`) {
        case 'GET /health':
          sendJson(response, this.#draining ? 503 : 200, { status: this.#draining ? 'draining' : 'ready' });
          return;
        case 'POST /lend':
          sendJson(response, 200, this.#lend(read(Prompt, await readJson(request))));
          return;
        case 'POST /keep':
          this.#keep(read(Offer, await readJson(request)));
          sendJson(response, 200, { states: this.#pool.size, bytes: this.#pool.bytes });
          return;
        default:
          throw new CubitError('not_found', `There is no ${request.method} ${request.url} here.`);
      }
    } catch (error) {
      if (!(error instanceof CubitError)) console.error(error instanceof Error ? error.stack : error);
      if (!response.headersSent) sendError(response, toCubitError(error));
    }
  }

  /** A name to take the state by, once, and how many of its tokens the prompt begins with. */
  #lend({ salt, tokens }: z.output<typeof Prompt>): { readonly state: string | null; readonly tokens: number } {
    const found = this.#pool.longest(salt, tokens);
    if (found === null) return { state: null, tokens: 0 };
    const state = randomUUID();
    linkSync(this.#pathOf(found.prefix), join(this.#kvFolder, state + KV_SUFFIX));
    return { state, tokens: found.common };
  }

  #keep({ salt, tokens, state }: z.output<typeof Offer>): void {
    const prefix = { salt, tokens, name: state };
    renameSync(join(this.#kvFolder, state + KV_SUFFIX), this.#pathOf(prefix));
    const { size: bytes } = statSync(this.#pathOf(prefix));
    for (const gone of this.#pool.add({ ...prefix, bytes })) rmSync(this.#pathOf(gone), { force: true });
  }

  #pathOf({ name }: Pick<PooledPrefix, 'name'>): string {
    return join(this.#poolFolder, name);
  }
}

function read<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new CubitError('invalid_request', `${issue?.path.join('.')}: ${issue?.message ?? 'not valid'}`);
}
