import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { CubitError } from '../../core/errors.ts';
import type { Log } from '../deps.ts';
import type { GatewaySnapshot } from '../snapshot.ts';
import type { SnapshotFile } from './keep.ts';
import { BEAT_MS, FEED_PATH, FeedCopy, type FeedLine } from './wire.ts';

const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 5_000;
/** A control plane that says nothing for so long is taken as gone. */
const SILENCE_MS_MAX = 5 * BEAT_MS;
/** One whole snapshot; more is no answer of a control plane. */
const LINE_BYTES_MAX = 512 * 2 ** 20;

export interface FollowOptions {
  /** Of the control plane. */
  readonly url: string;
  readonly token: string;
  readonly file: SnapshotFile;
  readonly apply: (snapshot: GatewaySnapshot) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface FollowStatus {
  /** `none`: nothing to work from yet. `disk`: what an earlier run kept. `control`: what the control plane said. */
  readonly source: 'none' | 'disk' | 'control';
  readonly connected: boolean;
  /** Since the control plane last said that this is up to date; for `disk`, since it was kept. null: nothing yet. */
  readonly ageMs: number | null;
}

export interface Follower {
  status(): FollowStatus;
  /** Resolves when there is a snapshot to work from. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Follows the control plane's snapshot: whole at first, then changes; again and again whatever happens to the connection.
 * Begins with what an earlier run kept on the disk.
 */
export function followControl(options: FollowOptions): Follower {
  const { url, token, file, apply, now, log } = options;
  const copy = new FeedCopy();
  const stopping = new AbortController();
  const agent = new Agent({ headersTimeout: SILENCE_MS_MAX, bodyTimeout: SILENCE_MS_MAX, connect: { timeout: 5_000 } });
  const ready = Promise.withResolvers<void>();
  let source: FollowStatus['source'] = 'none';
  let connected = false;
  let freshAtMs: number | null = null;
  let complaint = '';

  function take(line: FeedLine): void {
    const snapshot = copy.take(line);
    connected = true;
    source = 'control';
    freshAtMs = now();
    if (snapshot === null) return;
    apply(snapshot);
    ready.resolve();
    file
      .save(() => copy.whole(), now)
      .catch((err) =>
        log.warn({ err }, 'the snapshot could not be kept on the disk: a restart needs the control plane'),
      );
  }

  async function begin(): Promise<void> {
    try {
      const kept = await file.read();
      if (kept === null) return;
      const snapshot = copy.take(kept.line);
      if (snapshot === null) return;
      apply(snapshot);
      source = 'disk';
      freshAtMs = kept.savedAtMs;
      log.info({ ageMs: now() - kept.savedAtMs }, 'works from the snapshot that an earlier run kept');
      ready.resolve();
    } catch (err) {
      log.warn({ err }, 'the kept snapshot is not used: it is damaged, or was kept under another token');
    }
  }

  async function once(): Promise<void> {
    const { place } = copy;
    const query = place === null ? '' : `?epoch=${encodeURIComponent(place.epoch)}&version=${place.version}`;
    const { statusCode, body } = await request(`${url}${FEED_PATH}${query}`, {
      dispatcher: agent,
      signal: stopping.signal,
      headers: { authorization: `Bearer ${token}` },
    });
    if (statusCode !== 200) {
      const text = (await body.text()).slice(0, 300);
      throw new CubitError('config_invalid', `The control plane at ${url} answers ${statusCode}: ${text}`);
    }
    for await (const line of linesOf(body)) {
      if (!connected) log.info({ url }, 'follows the control plane');
      complaint = '';
      take(JSON.parse(line) as FeedLine);
    }
  }

  async function follow(): Promise<void> {
    await begin();
    for (let failures = 0; !stopping.signal.aborted; ) {
      const before = copy.place;
      try {
        await once();
      } catch (error) {
        // Said once for each reason: it goes on for as long as the control plane is away.
        const text = (error as Error).message;
        if (text !== complaint && !stopping.signal.aborted) log.warn({ err: error }, 'the control plane is not heard');
        complaint = text;
      }
      failures = connected || copy.place !== before ? 0 : failures + 1;
      connected = false;
      const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures);
      await sleep(waitMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
  }

  const following = follow();
  return {
    status: () => ({ source, connected, ageMs: freshAtMs === null ? null : Math.max(0, now() - freshAtMs) }),
    ready: ready.promise,
    async stop() {
      stopping.abort();
      await following;
      await agent.destroy();
    },
  };
}

/** Whole lines of a stream of bytes. Throws when one is larger than any snapshot. */
async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, end));
      yield Buffer.concat(parts).toString('utf8');
      parts = [];
      bytes = 0;
      from = end + 1;
    }
    if (from === chunk.length) continue;
    parts.push(chunk.subarray(from));
    bytes += chunk.length - from;
    if (bytes > LINE_BYTES_MAX) throw new CubitError('config_invalid', 'What answers there is no control plane.');
  }
}
