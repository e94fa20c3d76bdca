import { KvBlocks } from '../core/serving/kv-blocks.ts';
import type { EngineAddress } from '../engine/port.ts';
import type { GatewayDeps } from './deps.ts';

/** Characters of an English token; only how fast approximated prefixes are forgotten depends on it. */
const CHARS_PER_TOKEN = 4;

/** What a replica's own events say of its cache. Without events there is none. */
export class KvCache {
  readonly blocks = new KvBlocks();
  readonly #stop: () => void;
  #told = false;

  /** `evicted`: the engine gave blocks up, and holds so many characters of prompts now. */
  constructor(
    replicaId: string,
    address: EngineAddress,
    { log, watchKvEvents: watch }: Pick<GatewayDeps, 'log' | 'watchKvEvents'>,
    evicted: (heldChars: number) => void,
  ) {
    const source = address.kind === 'openai-http' ? address.kvEvents : undefined;
    if (source === undefined || watch === undefined) {
      this.#stop = () => {};
      return;
    }
    let malformed = 0;
    this.#stop = watch(source, {
      event: (event) => {
        this.#told = true;
        this.blocks.apply(event);
        if (event.kind !== 'stored') evicted(this.blocks.heldTokens * CHARS_PER_TOKEN);
      },
      reset: () => {
        this.#told = false;
        this.blocks.clear();
      },
      malformed: (count) => {
        // One line when it begins, then each time it has grown tenfold.
        const before = malformed;
        malformed += count;
        if (Math.floor(Math.log10(malformed)) > Math.floor(Math.log10(before))) {
          log.warn({ replicaId, malformed }, 'KV events that could not be read are left out');
        }
      },
      failed: (err) => log.warn({ replicaId, err }, 'KV events do not come; routing goes by what was sent where'),
    });
  }

  /** Share of a prompt of token ids that is cached; null: nobody says. */
  shareOf(tokenIds: readonly number[], salt: string, adapter: string): number | null {
    if (!this.#told) return null;
    return this.blocks.matchedTokens(tokenIds, salt, adapter) / Math.max(1, tokenIds.length);
  }

  stop(): void {
    this.#stop();
  }
}
