import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SECRET = /^(op|gw)-cubit-[\w-]{43}$/;

export function operatorTokenPath(dataFolder: string): string {
  return join(dataFolder, 'operator-token');
}

/**
 * The platform's own token, made at the first start: `operator-token` in the data folder, readable by its owner only.
 * Of several processes that start on one folder the first makes it.
 */
export function loadOperatorToken(dataFolder: string): string {
  return loadToken(operatorTokenPath(dataFolder), 'op');
}

export function gatewayTokenPath(dataFolder: string): string {
  return join(dataFolder, 'gateway-token');
}

/** What gateways show the control plane, made in the same way; it opens nothing else. */
export function loadGatewayToken(dataFolder: string): string {
  return loadToken(gatewayTokenPath(dataFolder), 'gw');
}

function loadToken(path: string, prefix: 'op' | 'gw'): string {
  const kept = readToken(path);
  if (kept !== null) {
    chmodSync(path, 0o600);
    return kept;
  }
  const token = `${prefix}-cubit-${randomBytes(32).toString('base64url')}`;
  // Written aside and moved: a kill between the two leaves no half token.
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, `${token}\n`, { mode: 0o600 });
  // What is there and no token is replaced; a token that another process made meanwhile is not.
  if (existsSync(path) && readToken(path) === null) renameSync(aside, path);
  else moveToFree(aside, path);
  return readToken(path) ?? token;
}

function moveToFree(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  rmSync(from);
}

/** null when there is no token there. */
export function readToken(path: string): string | null {
  try {
    const text = readFileSync(path, 'utf8').trim();
    return SECRET.test(text) ? text : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Takes the same time wherever the two differ, whatever their lengths. */
export function sameToken(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
