import { failNatively, listen, onStop, runWorker, say } from './lifetime.ts';
import { loadModel } from './model.ts';
import { parseWorkerOptions } from './options.ts';
import { PREFILL_TOKENS_PER_STEP } from './scheduler.ts';
import { WorkerServer } from './server.ts';

/**
 * The entry of an engine process: one model, one OpenAI-compatible server. Says on stdout, as JSON lines, where it
 * listens and when it is ready. SIGTERM (and Ctrl-C where nobody supervises it) drains and exits 0; a parent that is
 * gone ends it at once; a native failure exits 70.
 */
runWorker(async () => {
  const options = parseWorkerOptions(process.argv.slice(2));
  const { name, waitingMax, kvFolder } = options;
  const server = new WorkerServer({ name, waitingMax, kvFolder, onBroken: failNatively });
  let loading = true;
  onStop(() => {
    if (loading) process.exit(0);
    void server.drain().then(() => process.exit(0));
  });

  const startedMs = performance.now();
  await listen(server.http, options.listen, kvFolder === null ? [] : [kvFolder]);
  server.ready(
    await loadModel({
      ...options,
      batchTokens: PREFILL_TOKENS_PER_STEP + options.sequences,
      log: (line) => console.error(line),
    }),
  );
  loading = false;
  say({ event: 'ready', loadMs: Math.round(performance.now() - startedMs) });
});
