import { availableParallelism, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Catalog, Weights } from './catalog/schema.ts';
import type { Config } from './config.ts';
import type { ControlDeps } from './control/call.ts';
import { adoptedServers } from './control/server/adopted.ts';
import { connectEngine } from './engine/connect.ts';
import { detectDialect } from './engine/openai-http/detect.ts';
import { CombinedFleet } from './fleet/combined.ts';
import { LocalFleet, type LocalTemplate } from './fleet/local/fleet.ts';
import type { Fleet } from './fleet/port.ts';
import { StaticFleet, type StaticServer } from './fleet/static/fleet.ts';
import type { Logger } from './log.ts';

/** Servers that were adopted, as the fleet takes them. */
export async function readServers(db: ControlDeps['db']): Promise<StaticServer[]> {
  const rows = await adoptedServers(db);
  return rows.map((row) => ({
    id: row.id,
    templateId: row.template_id,
    url: row.url,
    model: row.model,
    dialect: row.dialect as StaticServer['dialect'],
    apiKey: row.api_key,
    role: row.role,
    bootstrapPort: row.bootstrap_port,
    kvEvents: row.kv_events === null ? null : { events: row.kv_events, replay: row.kv_replay },
  }));
}

interface FleetParts {
  readonly log: Logger;
  readonly getWeights: (weights: Weights) => Promise<string>;
  readonly now: () => number;
  readonly servers: () => readonly StaticServer[];
  readonly ownWeights: (servedModelId: string) => string | null | undefined;
}

/** Beside its weights a worker takes its context's memory and the runtime's. */
const WORKER_OVERHEAD_BYTES = 600 * 2 ** 20;
const MEMORY_SHARE = 0.7;

/** Local workers for every template whose weights are here, beside adopted servers. */
export async function buildFleet(config: Config, catalog: Catalog, parts: FleetParts): Promise<Fleet> {
  const { log, now, servers } = parts;
  const templates = new Map<string, LocalTemplate>();
  let weightsBytesMax = 0;
  for (const template of catalog.templates.values()) {
    const weights = catalog.models.get(template.modelId)?.weights;
    if (template.engine.kind !== 'llama' || weights === undefined) continue;
    try {
      const { contextTokens, sequences, threads } = template.engine;
      const modelPath = await parts.getWeights(weights);
      const selfCheck = template.profile.selfCheck ?? null;
      templates.set(template.id, {
        modelName: template.modelId,
        modelPath,
        contextTokens,
        sequences,
        threads,
        selfCheck,
      });
      weightsBytesMax = Math.max(weightsBytesMax, weights.bytes);
    } catch (error) {
      // Without the demo, a Cubit that only sells adopted servers needs no weights.
      if (config.demo) throw error;
      log.warn({ err: error, templateId: template.id }, 'template is not served: no weights');
    }
  }
  const local = new LocalFleet({
    workerPath: fileURLToPath(new URL('./engine/llama/worker.ts', import.meta.url)),
    execPath: process.execPath,
    templates: (id) => templates.get(id) ?? null,
    ownWeights: parts.ownWeights,
    limits: {
      workersMax: config.workersMax ?? availableParallelism(),
      memoryBytesMax: config.workerMemoryBytesMax ?? Math.floor(totalmem() * MEMORY_SHARE),
      memoryBytesPerWorker: weightsBytesMax + WORKER_OVERHEAD_BYTES,
    },
    connect: connectEngine,
    log: ({ replicaId, line }) => log.info({ replicaId, line }, 'worker'),
    now,
  });
  return new CombinedFleet([new StaticFleet({ servers, connect: connectEngine, now }), local]);
}

/** What a server that is to be adopted says of itself. */
export async function probeServer(url: string, apiKey: string | null) {
  const { dialect, models } = await detectDialect(url, apiKey);
  const engine = connectEngine({ kind: 'openai-http', url, model: models[0] ?? '', apiKey, dialect });
  try {
    return { dialect, models, ...(await engine.health(AbortSignal.timeout(10_000))) };
  } finally {
    await engine.close();
  }
}
