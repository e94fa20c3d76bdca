import { httpTransport, socketTransport, type Timeouts } from './openai-http/client.ts';
import { HttpEngine } from './openai-http/engine.ts';
import type { Engine, EngineAddress } from './port.ts';

/** Connects to an engine by its address; lazily: nothing is sent before the first call. `timeouts` are for tests. */
export function connectEngine(address: EngineAddress, timeouts?: Timeouts): Engine {
  const common = timeouts === undefined ? {} : { timeouts };
  if (address.kind === 'llama') {
    const transport = socketTransport(address.socketPath);
    return new HttpEngine(address, { ...common, transport, model: 'local', dialect: 'cubit' });
  }
  const { url, apiKey, model, dialect } = address;
  return new HttpEngine(address, { ...common, transport: httpTransport(url, apiKey), model, dialect });
}
