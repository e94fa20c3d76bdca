import { CubitError } from '../core/errors.ts';
import { httpTransport, socketTransport, type Timeouts, type Transport } from './openai-http/client.ts';
import { HttpEngine } from './openai-http/engine.ts';
import type { Engine, EngineAddress } from './port.ts';

/** What keeps tenants' own addresses outside (`public-address.ts`). */
export interface AddressGuard {
  /** Throws for a URL whose host is an address out of bounds. */
  checkUrl(url: string): void;
  /** Fails for a name that leads to one. */
  readonly lookup: NonNullable<Transport['lookup']>;
}

/**
 * Connects to an engine by its address; lazily: nothing is sent before the first call. Throws `invalid_request` for an
 * address that is `publicOnly` and is not, or that nobody guards. `timeouts` are for tests.
 */
export function connectEngine(address: EngineAddress, timeouts?: Timeouts, guard?: AddressGuard): Engine {
  const common = timeouts === undefined ? {} : { timeouts };
  if (address.kind === 'llama') {
    const transport = socketTransport(address.socketPath);
    return new HttpEngine(address, { ...common, transport, model: 'local', dialect: 'cubit' });
  }
  const { url, apiKey, model, dialect } = address;
  const transport = httpTransport(url, apiKey);
  if (address.publicOnly !== true) return new HttpEngine(address, { ...common, transport, model, dialect });
  if (guard === undefined) throw new CubitError('invalid_request', `Nothing here checks where ${url} leads.`);
  guard.checkUrl(url);
  return new HttpEngine(address, { ...common, transport: { ...transport, lookup: guard.lookup }, model, dialect });
}
