import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Architecture, Catalog, Model, Template } from '../catalog/schema.ts';
import { CubitError } from '../core/errors.ts';
import type { MemberRole } from '../core/roles.ts';
import type { EngineAddress } from '../engine/port.ts';
import type { Fleet, FleetCapacity, ReplicaSpec, ReplicaState, ReplicaStatus } from '../fleet/port.ts';
import { ModelFiles } from '../model-files/files.ts';
import type { Store } from '../store/store.ts';
import { type ControlDeps, callVerb, newId } from './call.ts';
import { createSender } from './delivery/sender.ts';
import { endpointCreate } from './endpoint/create.ts';
import { controlApp } from './http.ts';
import { keyCreate } from './key/create.ts';
import { memberAccept } from './member/accept.ts';
import { memberInvite } from './member/invite.ts';
import { operatorInvite } from './operator/invite.ts';
import { Provisioner, type ProvisionerDeps } from './provision.ts';
import { tenantCreate } from './tenant/create.ts';
import type { Actor, ProbeServer, Verb } from './verb.ts';
import { walletTopUp } from './wallet/top-up.ts';

/** A control plane for tests: a store in memory, a fleet that does what it is told, a clock that is moved. */
export const OPERATOR: Actor = { kind: 'operator' };
export const OPERATOR_TOKEN = 'op-cubit-for-tests';
/** 2026-04-13 09:00 in Shanghai. */
export const START_MS = Date.UTC(2026, 3, 13, 1, 0, 0);
export const DRAIN_MS = 30_000;

/** A fleet with a number of slots; replicas become ready, fail and drain when the test says so. */
export class FakeFleet implements Fleet {
  readonly kind = 'local';
  slots = 8;
  readonly served = new Set(['alpha-local', 'beta-local', 'alpha-pair', 'alpha-unpriced']);
  readonly drains: { readonly replicaId: string; readonly drainMs: number }[] = [];
  readonly #replicas = new Map<string, ReplicaStatus>();
  readonly #listeners = new Set<() => void>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  serves(templateId: string): boolean {
    return this.served.has(templateId);
  }

  capacity(_templateId: string): FleetCapacity {
    const used = this.list().filter(({ state }) => state !== 'stopped' && state !== 'failed').length;
    return { free: Math.max(0, this.slots - used), limit: `${this.slots} workers on this machine` };
  }

  start(spec: ReplicaSpec): void {
    if ((this.#replicas.get(spec.replicaId)?.state ?? 'stopped') !== 'stopped') return;
    if (this.capacity(spec.templateId).free === 0) throw new CubitError('capacity_exhausted', 'No worker is free.');
    const fresh = {
      address: null,
      startedAtMs: this.#now(),
      readyAtMs: null,
      restarts: 0,
      failure: null,
      timeScale: null,
    };
    this.#replicas.set(spec.replicaId, { ...spec, ...fresh, state: 'starting' });
    this.#emit();
  }

  async stop(replicaId: string, drainMs: number): Promise<void> {
    this.drains.push({ replicaId, drainMs });
    const state = this.#replicas.get(replicaId)?.state;
    if (state !== undefined) this.become(replicaId, state === 'failed' ? 'stopped' : 'draining');
  }

  list(): readonly ReplicaStatus[] {
    return [...this.#replicas.values()];
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#replicas.clear();
  }

  /** What the self-check of a replica found. */
  checked(replicaId: string, timeScale: number): void {
    const before = this.#replicas.get(replicaId);
    if (before !== undefined) this.#replicas.set(replicaId, { ...before, timeScale });
    this.#emit();
  }

  become(replicaId: string, state: ReplicaState, failure: string | null = null): void {
    const before = this.#replicas.get(replicaId);
    if (before === undefined) throw new Error(`no replica ${replicaId}`);
    const ready = state === 'ready';
    const address: EngineAddress | null = ready ? { kind: 'llama', socketPath: `/${replicaId}` } : before.address;
    const readyAtMs = ready ? this.#now() : before.readyAtMs;
    this.#replicas.set(replicaId, { ...before, state, address, readyAtMs, failure });
    this.#emit();
  }

  /** Everything that is starting is ready. */
  allReady(): void {
    for (const { replicaId, state } of this.list()) if (state === 'starting') this.become(replicaId, 'ready');
  }

  /** Everything that is draining has drained. */
  allDrained(): void {
    for (const { replicaId, state } of this.list()) if (state === 'draining') this.become(replicaId, 'stopped');
  }

  states(): Record<string, ReplicaState> {
    return Object.fromEntries(this.list().map(({ replicaId, state }) => [replicaId, state]));
  }

  #emit(): void {
    for (const listener of this.#listeners) listener();
  }
}

export interface TestTenant {
  readonly tenantId: string;
  readonly manager: Actor;
  readonly reader: Actor;
  readonly managerKey: string;
  readonly readerKey: string;
}

export interface TestMember {
  readonly memberId: string;
  readonly email: string;
  readonly actor: Actor;
  /** To sign in with. */
  readonly token: string;
}

export class TestControl {
  readonly store: Store;
  nowMs = START_MS;
  readonly fleet = new FakeFleet(() => this.nowMs);
  changes = 0;
  /** Folders that models may be registered from. */
  readonly modelFolders: string[] = [];
  readonly errors: { readonly fields: object; readonly message: string }[] = [];
  probe: ProbeServer = async () => ({ dialect: 'vllm', models: ['alpha'], ok: true, reason: null });
  deps: ControlDeps;

  constructor(store: Store) {
    this.store = store;
    this.deps = {
      db: store.db,
      catalog: testCatalog(),
      policy: { access: 'open', quotaUnits: null },
      fleet: this.fleet,
      operatorToken: OPERATOR_TOKEN,
      probe: (server) => this.probe(server),
      sender: createSender({ webhookAllow: '127.0.0.1', smtp: null }),
      modelFiles: new ModelFiles({
        folder: join(tmpdir(), 'cubit-test-models'),
        allowedFolders: this.modelFolders,
        bytesMax: 2 ** 30,
        download: async () => {
          throw new CubitError('invalid_request', 'nothing is fetched in this test');
        },
      }),
      log: { info: () => undefined, error: (fields, message) => this.errors.push({ fields, message }) },
      now: () => this.nowMs,
      changed: () => {
        this.changes += 1;
      },
    };
  }

  call<I extends z.ZodObject, O extends z.ZodType>(
    verb: Verb<I, O>,
    actor: Actor,
    input: z.input<I>,
    idempotencyKey: string | null = null,
  ): Promise<z.output<O>> {
    return callVerb(this.deps, verb, { actor, input, idempotencyKey });
  }

  /** A tenant with money and a key of each scope. */
  async tenant(credit = '1000'): Promise<TestTenant> {
    const { tenantId } = await this.call(tenantCreate, OPERATOR, { name: 'acme' });
    if (credit !== '0') await this.call(walletTopUp, OPERATOR, { tenantId, amount: credit });
    const manage = await this.call(keyCreate, OPERATOR, { tenantId, name: 'ci', scope: 'manage' });
    const infer = await this.call(keyCreate, OPERATOR, { tenantId, name: 'app' });
    return {
      tenantId,
      manager: { kind: 'key', tenantId, keyId: manage.keyId, role: 'admin' },
      reader: { kind: 'key', tenantId, keyId: infer.keyId, role: 'inference' },
      managerKey: manage.key!,
      readerKey: infer.key!,
    };
  }

  /** A person who took an invitation; without a tenant an operator. */
  async member(tenantId: string | null, role: MemberRole | 'operator', name: string = role): Promise<TestMember> {
    const email = `${name}@example.com`;
    const { invitation } =
      tenantId === null || role === 'operator'
        ? await this.call(operatorInvite, OPERATOR, { email })
        : await this.call(memberInvite, OPERATOR, { tenantId, email, role });
    const { memberId, token } = await this.call(memberAccept, { kind: 'anyone' }, { invitation: invitation! });
    const actor: Actor =
      tenantId === null || role === 'operator'
        ? { kind: 'operator', memberId }
        : { kind: 'member', tenantId, memberId, role };
    return { memberId, email, actor, token: token!.secret };
  }

  /** An endpoint of one model; its order is under way. */
  endpoint(actor: Actor, units = 1, name = 'chat') {
    return this.call(endpointCreate, actor, { name, models: [{ modelId: 'alpha', units }] });
  }

  provisioner(options: Partial<ProvisionerDeps> = {}): Provisioner {
    const { db, catalog, fleet, log, now, changed } = this.deps;
    const monotonicMs = () => this.nowMs;
    return new Provisioner({
      db,
      catalog,
      fleet,
      log,
      now,
      changed,
      newId,
      monotonicMs,
      drainMs: DRAIN_MS,
      ...options,
    });
  }

  /** Starts what is missing, makes it ready and ends the orders. */
  async provisioned(provisioner = this.provisioner()): Promise<void> {
    await provisioner.reconcile();
    this.fleet.allReady();
    await provisioner.reconcile();
  }

  async http(
    method: string,
    path: string,
    options: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<{ status: number; headers: Headers; body: Json }> {
    const headers = new Headers(options.headers);
    if (options.token !== undefined) headers.set('authorization', `Bearer ${options.token}`);
    const body = typeof options.body === 'string' ? options.body : JSON.stringify(options.body);
    const init = { method, headers, ...(options.body === undefined ? {} : { body }) };
    const reply = await controlApp(this.deps).fetch(new Request(`http://cubit.test${path}`, init));
    const text = await reply.text();
    const isJson = reply.headers.get('content-type')?.startsWith('application/json') ?? false;
    return { status: reply.status, headers: reply.headers, body: isJson ? (JSON.parse(text) as Json) : { text } };
  }
}

/** What came over HTTP; tests look into it by name. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests are about.
export type Json = Record<string, any>;

export async function testControl(): Promise<TestControl> {
  // Here, so that what is no test can use the rest of this file.
  const { testStore } = await import('../store/fixture.ts');
  return new TestControl(await testStore());
}

/** The code and details of what a call throws. */
export async function refusal(call: Promise<unknown>): Promise<{ code: string; message: string; details: Json }> {
  try {
    await call;
  } catch (error) {
    if (error instanceof CubitError) return { code: error.code, message: error.message, details: error.details };
    throw error;
  }
  throw new Error('it was not refused');
}

function testCatalog(): Catalog {
  const models = [
    model('alpha', { architecture: ARCHITECTURE }),
    model('beta'),
    model('gamma', { availability: 'external' }),
  ];
  const templates = [
    template('alpha-local', 'alpha'),
    template('alpha-pair', 'alpha', {
      kind: 'two_type',
      roles: [
        { role: 'prefill', machineTypeId: 'local-cpu', machinesPerUnit: 1 },
        { role: 'decode', machineTypeId: 'local-cpu', machinesPerUnit: 1 },
      ],
    }),
    template('alpha-unpriced', 'alpha'),
    template('alpha-elsewhere', 'alpha'),
    template('beta-local', 'beta'),
    template('beta-trio', 'beta', {
      kind: 'three_type',
      engine: { kind: 'openai-http', contextTokens: 2048, sequences: 8, threads: 0, structuredOutput: false },
    }),
  ];
  const price = { monthly: '1728.00', penalty: 0.3 };
  return {
    models: new Map(models.map((one) => [one.id, one])),
    machineTypes: new Map(),
    agreements: [],
    clouds: [],
    templates: new Map(templates.map((one) => [one.id, one])),
    priceBook: {
      version: '2026-04',
      currency: 'CNY',
      validFrom: '2026-04-01T00:00:00+08:00',
      prices: [
        { templateId: 'alpha-local', hourly: '3.60', ...price },
        { templateId: 'alpha-pair', hourly: '7.20', ...price },
        { templateId: 'alpha-elsewhere', hourly: '9.00', ...price },
        { templateId: 'beta-local', hourly: '1.80', ...price },
      ],
      tokenPrices: [{ modelId: 'alpha', input: '0.80', cachedInput: '0.16', output: '2.00' }],
    },
  };
}

/** SmolLM2-135M's, so that its adapters fit. */
export const ARCHITECTURE: Architecture = {
  kind: 'decoder',
  parametersTotal: 134_515_008,
  parametersActive: 134_515_008,
  layers: 30,
  hiddenSize: 576,
  vocabularySize: 49_152,
  tiedEmbeddings: true,
  attention: { kind: 'gqa', heads: 9, kvHeads: 3, headDimension: 64 },
  feedForward: { gated: true, intermediateSize: 1536 },
};

function model(id: string, facts: Partial<Model> = {}): Model {
  return {
    id,
    name: id,
    family: 'greek',
    publisher: 'Test',
    kind: 'base',
    availability: 'open_weights',
    provisionedAs: 'model_units',
    preview: false,
    licence: null,
    contextTokens: 8192,
    capabilities: { chat: true, completion: true, embedding: false, structuredOutput: true, tools: false },
    sources: ['made for tests'],
    ...facts,
  };
}

function template(id: string, modelId: string, facts: Partial<Template> = {}): Template {
  const none = { ratedTokensPerS: null, ttftMs: null, tpotMs: null };
  return {
    id,
    name: id,
    modelId,
    kind: 'single',
    roles: [{ role: 'unified', machineTypeId: 'local-cpu', machinesPerUnit: 1 }],
    engine: { kind: 'llama', contextTokens: 2048, sequences: 8, threads: 0, structuredOutput: false },
    kvTokensPerUnit: 16_384,
    startupMs: 4_000,
    profile: {
      from: 'measured',
      on: 'a test',
      prefillFixedUs: 500,
      step: { tau0Us: 8_000, tau1Us: 100, tau2Us: 0.5, tau3Us: 1_000, tau4Us: 2, tau5Us: 0 },
    },
    tiers: [
      { coefficient: 1, batch: 8, ...none },
      { coefficient: 2, batch: 2, ...none },
    ],
    ...facts,
  };
}
