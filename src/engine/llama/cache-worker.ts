import { parseArgs } from 'node:util';
import { CubitError } from '../../core/errors.ts';
import { CacheServer, poolFolderOf } from './cache-server.ts';
import { listen, onStop, runWorker, say } from './lifetime.ts';

const USAGE = 'cache-worker.ts --socket PATH --kv-folder DIR [--cache-bytes N]';
const BYTES_MAX = String(2 ** 30);

/** The entry of a cache process (role `cache`): no model, only KV states of prompts. Lives and says as `worker.ts` does. */
runWorker(async () => {
  const { values } = parseArgs({
    options: {
      socket: { type: 'string' },
      'kv-folder': { type: 'string' },
      'cache-bytes': { type: 'string', default: BYTES_MAX },
    },
  });
  const { socket: socketPath, 'kv-folder': kvFolder } = values;
  const bytesMax = Number(values['cache-bytes']);
  if (socketPath === undefined || kvFolder === undefined || !Number.isSafeInteger(bytesMax) || bytesMax < 0) {
    throw new CubitError('config_invalid', USAGE);
  }
  const server = new CacheServer({ kvFolder, poolFolder: poolFolderOf(socketPath), bytesMax });
  onStop(() => {
    server.drain();
    process.exit(0);
  });
  await listen(server.http, { socketPath }, [kvFolder]);
  say({ event: 'ready' });
});
