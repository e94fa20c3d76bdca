import { randomUUID } from 'node:crypto';
import { linkSync, readdirSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { KV_SUFFIX } from './kv-state.ts';

/** How the sockets of cache workers end, in the folder that the workers of a served model share. */
export const CACHE_SOCKET_SUFFIX = '.cache';

/** Longer than this a prefill does not wait: it evaluates the prompt itself. */
const CALL_MS_MAX = 250;
const ANSWER_BYTES_MAX = 4_096;

/** What a prefill worker asks of the cache workers beside it. All of it may fail: then nothing was cached. */
export class CacheClient {
  readonly #folder: string;
  readonly #log: (line: string) => void;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  constructor(folder: string, log: (line: string) => void) {
    this.#folder = folder;
    this.#log = log;
  }

  /** The pooled state that begins like the prompt; null when there is none or nobody answers in time. */
  async borrow(
    salt: string,
    tokens: readonly number[],
  ): Promise<{ readonly state: string; readonly tokens: number } | null> {
    const answer = await this.#call('/lend', salt, tokens, {});
    const { state, tokens: common } = answer ?? {};
    return typeof state === 'string' && typeof common === 'number' ? { state, tokens: common } : null;
  }

  /** Gives a state that waits for decode to the cache as well: a second name for the same bytes. */
  keep(salt: string, tokens: readonly number[], state: string): void {
    if (this.#socketFor(salt, tokens) === null) return;
    const kept = randomUUID();
    const path = join(this.#folder, kept + KV_SUFFIX);
    try {
      linkSync(join(this.#folder, state + KV_SUFFIX), path);
    } catch (error) {
      this.#log(`a KV state could not be kept: ${(error as Error).message}`);
      return;
    }
    void this.#call('/keep', salt, tokens, { state: kept }).then((answer) => {
      if (answer === null) rmSync(path, { force: true });
    });
  }

  async #call(path: string, salt: string, tokens: readonly number[], more: object) {
    const socketPath = this.#socketFor(salt, tokens);
    if (socketPath === null) return null;
    try {
      return await this.#post(socketPath, path, JSON.stringify({ salt, tokens, ...more }));
    } catch (error) {
      this.#log(`the cache does not answer: ${(error as Error).message}`);
      return null;
    }
  }

  /** Of several caches always the same for prompts that begin alike. */
  #socketFor(salt: string, tokens: readonly number[]): string | null {
    const sockets = readdirSync(this.#folder)
      .filter((name) => name.endsWith(CACHE_SOCKET_SUFFIX))
      .sort();
    let hash = 0x811c9dc5;
    for (const code of [...salt].map((char) => char.charCodeAt(0)).concat(tokens.slice(0, 32))) {
      hash = Math.imul(hash ^ code, 0x01000193);
    }
    const name = sockets[(hash >>> 0) % Math.max(1, sockets.length)];
    return name === undefined ? null : join(this.#folder, name);
  }

  #post(socketPath: string, path: string, body: string): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      const sent = request(
        { socketPath, path, method: 'POST', agent: this.#agent, signal: AbortSignal.timeout(CALL_MS_MAX) },
        (response) => {
          let text = '';
          response.on('data', (part: Buffer) => {
            text += part.toString();
            if (text.length > ANSWER_BYTES_MAX) sent.destroy(new Error('its answer is too long'));
          });
          response.on('error', reject);
          response.on('end', () => {
            if (response.statusCode !== 200) return reject(new Error(`${response.statusCode} ${text.slice(0, 200)}`));
            try {
              resolve(JSON.parse(text));
            } catch (error) {
              reject(error);
            }
          });
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }
}
