import type { Registry } from 'prom-client';
import type { Receipt } from '../core/commerce/metering.ts';
import type { WatchKvEvents } from '../engine/kv-events/watch.ts';
import type { ConnectEngine, EngineDialect } from '../engine/port.ts';
import type { GatewayLimits } from './limits.ts';
import type { LeaseBudget } from './spill-budget.ts';

/** What the gateway is given; nothing is read from elsewhere. */
export interface GatewayDeps {
  readonly connect: ConnectEngine;
  /** Extra request fields that an engine's dialect understands (`top_k` …). */
  /** Follows what an engine says of its KV cache; without it, engines' events are not used. */
  readonly watchKvEvents?: WatchKvEvents;
  readonly knownFields: (dialect: EngineDialect) => ReadonlySet<string>;
  /** Epoch milliseconds, for stamps only. */
  readonly now: () => number;
  /** Milliseconds that never go back, for everything that is measured. */
  readonly monotonicMs: () => number;
  readonly newRequestId: () => string;
  /** Takes one receipt per authenticated request; returns at once. */
  readonly record: (receipt: Receipt) => void;
  readonly log: Log;
  readonly registry: Registry;
  /** Without it nothing spills that costs money. */
  readonly budgets?: LeaseBudget;
  readonly limits?: Partial<GatewayLimits>;
}

/** What pino offers of this. Never given prompt text or keys. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
