import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { type BlockList, isIP } from 'node:net';
import { Agent, type Dispatcher } from 'undici';
import { CubitError } from '../core/errors.ts';
import { checkedLookup, hostOf, mayReach, refusal } from '../public-address.ts';
import { tooLarge } from './faulty.ts';

export interface WantedDownload {
  readonly url: string;
  /** Where it is put, whole or not at all. */
  readonly path: string;
  readonly sha256: string;
  readonly bytesMax: number;
}

export type Download = (wanted: WantedDownload) => Promise<void>;

const REDIRECTS_MAX = 5;
const DOWNLOAD_MS_MAX = 3_600_000;

/**
 * Fetches over https from the public Internet (and `allowed`) only, redirects included: each address is checked as it is
 * connected to. Throws `invalid_request`, `body_too_large`. `ca` is for tests.
 */
export function createDownload(allowed: BlockList, ca?: string): Download {
  return async ({ bytesMax, path, sha256, url }) => {
    const agent = new Agent({ connect: { lookup: checkedLookup(allowed), timeout: 10_000, ...(ca && { ca }) } });
    const part = `${path}.${randomUUID()}.part`;
    try {
      const body = await follow(agent, new URL(url), allowed);
      if ((await write(body, part, bytesMax)) !== sha256) {
        throw new CubitError('invalid_request', 'What the URL leads to has another sha256.', {
          details: { param: 'sha256' },
        });
      }
      await rename(part, path);
    } catch (error) {
      if (error instanceof CubitError) throw error;
      throw new CubitError('invalid_request', 'The URL could not be fetched.', {
        details: { param: 'source' },
        cause: error,
      });
    } finally {
      await rm(part, { force: true });
      await agent.destroy();
    }
  };
}

async function follow(agent: Agent, first: URL, allowed: BlockList): Promise<Dispatcher.ResponseData['body']> {
  let url = first;
  const signal = AbortSignal.timeout(DOWNLOAD_MS_MAX);
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    if (url.protocol !== 'https:' || url.username !== '')
      throw refused('Only https:// without a name in it is fetched.');
    const host = hostOf(url);
    if (isIP(host) !== 0 && !mayReach(host, allowed)) throw refusal(host);
    const { body, headers, statusCode } = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      signal,
    });
    if (statusCode === 200) return body;
    await body.dump({ limit: 4096 }).catch(() => undefined);
    const { location } = headers;
    if (statusCode < 300 || statusCode >= 400 || typeof location !== 'string') {
      throw refused(`The URL answers ${statusCode}.`);
    }
    url = new URL(location, url);
  }
  throw refused(`The URL redirects more than ${REDIRECTS_MAX} times.`);
}

/** Returns the sha256. */
async function write(body: AsyncIterable<Buffer>, path: string, bytesMax: number): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o600);
  let bytes = 0;
  try {
    for await (const part of body) {
      bytes += part.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
      hash.update(part);
      await file.write(part);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

function refused(message: string): CubitError {
  return new CubitError('invalid_request', message, { details: { param: 'source' } });
}
