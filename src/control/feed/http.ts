import type { IncomingMessage, ServerResponse } from 'node:http';
import { json as jsonOf } from 'node:stream/consumers';
import { CubitError, toCubitError } from '../../core/errors.ts';
import {
  BEAT_MS,
  BUDGETS_PATH,
  FEED_PATH,
  type FeedPlace,
  LEASES_PATH,
  RECEIPTS_PATH,
  REPORT_PATH,
} from '../../gateway/feed/wire.ts';
import { sendError, sendJson } from '../../gateway/respond.ts';
import { sameToken } from '../operator-token.ts';
import type { SnapshotFeed } from './feed.ts';

const BODY_BYTES_MAX = 16 * 2 ** 20;
const GATEWAYS_MAX = 1_000;
const PATHS: ReadonlySet<string> = new Set([BUDGETS_PATH, FEED_PATH, LEASES_PATH, RECEIPTS_PATH, REPORT_PATH]);

export interface FeedHttpDeps {
  readonly feed: SnapshotFeed;
  /** Either of them opens the door. */
  readonly tokens: readonly string[];
  /** Stores lines of receipts, each once by its id; all or, when it throws, none. */
  readonly storeReceipts: (lines: readonly string[]) => Promise<void>;
  /** What a gateway reports of itself; its answer goes back. Throws `invalid_request`. */
  readonly report: (report: unknown) => Promise<object>;
  /** Leases of shared capacity, for gateways without Redis. */
  readonly leases: (reports: unknown) => Promise<object>;
  /** Parts of spill budgets, taken or given back. */
  readonly budgets: (question: unknown) => Promise<object>;
}

/** The control plane's side of its gateways: snapshot stream, receipts, reports. False = not ours, untouched. */
export function feedHandler(deps: FeedHttpDeps): (req: IncomingMessage, res: ServerResponse) => boolean {
  let followers = 0;
  const serve = async (path: string, req: IncomingMessage, res: ServerResponse) => {
    const sent = req.headers.authorization ?? '';
    if (!deps.tokens.some((token) => sameToken(sent, `Bearer ${token}`))) {
      throw new CubitError('invalid_api_key', 'Gateways send the gateway token: Authorization: Bearer gw-cubit-…');
    }
    if (path === FEED_PATH && req.method === 'GET') {
      if (followers >= GATEWAYS_MAX) throw new CubitError('capacity_exhausted', 'Too many gateways follow already.');
      followers += 1;
      res.once('close', () => {
        followers -= 1;
      });
      return stream(deps.feed, placeOf(req), res);
    }
    if (req.method !== 'POST') throw new CubitError('method_not_allowed', 'Use POST for this.');
    const body = await bodyOf(req);
    if (path === REPORT_PATH) return sendJson(res, 200, await deps.report(body));
    if (path === LEASES_PATH) return sendJson(res, 200, await deps.leases(body));
    if (path === BUDGETS_PATH) return sendJson(res, 200, await deps.budgets(body));
    await deps.storeReceipts(receiptLines(body));
    sendJson(res, 200, {});
  };
  return (req, res) => {
    const [path = ''] = (req.url ?? '').split('?', 1);
    if (!PATHS.has(path)) return false;
    res.on('error', () => {});
    req.on('error', () => {});
    serve(path, req, res).catch((error: unknown) => sendError(res, toCubitError(error)));
    return true;
  };
}

/** Never holds more for a slow reader than what it is sending: it reads on from where the gateway is. */
function stream(feed: SnapshotFeed, from: FeedPlace | null, res: ServerResponse): void {
  let place = from;
  let full = false;
  const send = () => {
    if (full || res.writableEnded || res.destroyed) return;
    const lines = feed.since(place);
    place = feed.place;
    if (lines.length > 0) full = !res.write(`${lines.join('\n')}\n`);
  };
  const beat = () => {
    if (!full) full = !res.write(`${feed.beat()}\n`);
  };
  res.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  res.on('drain', () => {
    full = false;
    send();
  });
  const unlisten = feed.onChange(send);
  const timer = setInterval(beat, BEAT_MS).unref();
  res.once('close', () => {
    unlisten();
    clearInterval(timer);
  });
  send();
  beat();
}

function placeOf(req: IncomingMessage): FeedPlace | null {
  const query = new URLSearchParams((req.url ?? '').split('?', 2)[1] ?? '');
  const epoch = query.get('epoch');
  const version = Number(query.get('version') ?? Number.NaN);
  return epoch === null || !Number.isSafeInteger(version) ? null : { epoch, version };
}

async function bodyOf(req: IncomingMessage): Promise<unknown> {
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) req.destroy();
  });
  try {
    return await jsonOf(req);
  } catch (cause) {
    throw new CubitError('invalid_json', 'The body is not JSON, or larger than 16 MiB.', { cause });
  }
}

function receiptLines(body: unknown): readonly string[] {
  const { lines } = (body ?? {}) as { lines?: unknown };
  if (Array.isArray(lines) && lines.every((line) => typeof line === 'string')) return lines;
  throw new CubitError('invalid_request', 'Send { "lines": [...] }, each a receipt as JSON text.');
}
