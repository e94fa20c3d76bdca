import { deploymentOf, unitFromFacts } from '../../catalog/from-facts.ts';
import type { Catalog, MachineType, Model, Template } from '../../catalog/schema.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import { MEASURED_BAND, type Provenance } from '../../core/serving/calculator/confidence.ts';
import type { Offer } from '../../core/serving/calculator.ts';
import { type ErrorBand, errorBandOf } from '../../core/serving/performance/band.ts';
import { invalidField } from '../input.ts';

/** Hardware by its facts, of one accelerator, decimal units, dense bf16 FLOP/s; the link is one way. */
export interface MachineFacts {
  readonly name: string;
  readonly accelerators: number;
  readonly memoryBytes: number;
  readonly bandwidthBytesPerS: number;
  readonly flopsPerS: number;
  /** null: one accelerator, or none that talk. */
  readonly linkBytesPerS: number | null;
}

export interface OfferOptions {
  /** Whether the fleet of this installation runs the template, so that its profile was checked here. */
  readonly servedHere: (templateId: string) => boolean;
  /** Instead of the templates: the model on this machine type of the catalogue, or on these facts. */
  readonly machineTypeId?: string | undefined;
  readonly machine?: MachineFacts | undefined;
}

/** Units are sold one by one. */
const UNIT_STEP = 1;
const COEFFICIENTS = [1, 1.2, 1.5, 2];
/** For hardware without a template: what engines are usually started with. */
const SEQUENCES = 64;
const CONTEXT_TOKENS = 32_768;
const STARTUP_MS = 60_000;
/** vLLM's step budget for servers: accelerators of 70 GiB and more get the larger one. */
const STEP_TOKENS_LARGE = 8_192;
const STEP_TOKENS = 2_048;
const LARGE_MEMORY_BYTES = 70 * 1024 ** 3;

/** Every template of a model (a LoRA adapter runs on its base's), or the model on hardware that is asked for. Throws `invalid_request`. */
export function offersOf(catalog: Catalog, modelId: string, options: OfferOptions): Offer[] {
  const model = catalog.models.get(modelId);
  if (model === undefined) throw unknownModel(catalog, modelId);
  const base = model.kind === 'lora' ? (catalog.models.get(model.baseModelId ?? '') ?? model) : model;
  const templates = [...catalog.templates.values()].filter((template) => [modelId, base.id].includes(template.modelId));
  if (options.machineTypeId !== undefined || options.machine !== undefined) {
    return [offerOnMachine(catalog, base, templates[0], options)];
  }
  if (templates.length === 0) {
    throw invalidField('modelId', `${modelId} has no deployment template; say on which machine to run it (machine)`);
  }
  return templates.map((template) => offerOf(catalog, template, provenanceOf(template, options)));
}

function provenanceOf({ id, profile }: Template, { servedHere }: OfferOptions): Provenance {
  if (profile.from === 'facts') return 'facts';
  return servedHere(id) ? 'measured_here' : 'measured_elsewhere';
}

function offerOf(catalog: Catalog, template: Template, provenance: Provenance): Offer {
  const price = catalog.priceBook.prices.find((row) => row.templateId === template.id);
  const { engine, kind, kvTokensPerUnit, profile, tiers } = template;
  return {
    templateId: template.id,
    unit: {
      step: profile.step,
      prefillFixedUs: profile.prefillFixedUs,
      kvTokensPerUnit,
      stepTokensMax: engine.stepTokensMax ?? stepTokensOf(catalog, template),
      disaggregated: kind !== 'single',
    },
    contextTokens: engine.contextTokens,
    unitStep: UNIT_STEP,
    tiers: tiers.map(({ batch, coefficient }) => ({ batch, coefficient, band: bandOf(catalog, template, batch) })),
    price:
      price === undefined
        ? null
        : { hourlyMicros: parseMicros(price.hourly), monthlyMicros: parseMicros(price.monthly) },
    provenance,
  };
}

/** Facts that name no accelerator have no measured error to go by: the widest there is. */
function bandOf(catalog: Catalog, template: Template, batch: number): ErrorBand {
  if (template.profile.from === 'measured') return MEASURED_BAND;
  const deployment = deploymentOf(template, catalog, 'decode');
  return deployment === null ? WIDEST_BAND : errorBandOf(deployment, batch);
}

function stepTokensOf(catalog: Catalog, { roles }: Template): number {
  const memory = roles.map(({ machineTypeId }) => catalog.machineTypes.get(machineTypeId)?.memoryBytes ?? 0);
  return Math.max(...memory) >= LARGE_MEMORY_BYTES ? STEP_TOKENS_LARGE : STEP_TOKENS;
}

/** The model on a machine for which there is no template: all of it from facts, and without a price. */
function offerOnMachine(
  catalog: Catalog,
  model: Model,
  like: Template | undefined,
  { machine, machineTypeId }: OfferOptions,
): Offer {
  const machineType = machine === undefined ? knownMachine(catalog, machineTypeId ?? '') : machineOf(machine);
  const engine = {
    kind: 'openai-http' as const,
    threads: 0,
    structuredOutput: false,
    sequences: SEQUENCES,
    contextTokens: Math.min(model.contextTokens ?? CONTEXT_TOKENS, CONTEXT_TOKENS),
    weightBits: like?.engine.weightBits ?? 16,
    kvBits: like?.engine.kvBits ?? 16,
  };
  const template: Template = {
    id: `${model.id} on ${machineType.id}`,
    name: `${model.name}: ${machineType.name}`,
    modelId: model.id,
    kind: 'single',
    roles: [{ role: 'unified', machineTypeId: machineType.id, machinesPerUnit: 1 }],
    engine,
    kvTokensPerUnit: 1,
    startupMs: STARTUP_MS,
    profile: NO_PROFILE,
    tiers: COEFFICIENTS.map((coefficient) => ({
      coefficient,
      batch: Math.max(1, Math.round(SEQUENCES / coefficient)),
      ...{ ratedTokensPerS: null, ttftMs: null, tpotMs: null },
    })),
  };
  checkWeightsFit(model, machineType, engine.weightBits);
  const extended = { ...catalog, machineTypes: new Map([...catalog.machineTypes, [machineType.id, machineType]]) };
  const unit = unitFromFacts(template, extended);
  if (unit === null) {
    throw invalidField('modelId', `the architecture of ${model.id} is not public, so that it cannot be computed`);
  }
  const { kvTokens, prefillFixedUs, step } = unit;
  const profile = { ...NO_PROFILE, step, prefillFixedUs };
  const contextTokens = Math.min(engine.contextTokens, kvTokens);
  return offerOf(
    extended,
    { ...template, profile, kvTokensPerUnit: kvTokens, engine: { ...engine, contextTokens } },
    'facts',
  );
}

const WIDEST_BAND: ErrorBand = {
  tpot: { half: 0.25, threeQuarters: 0.4, nineTenths: 0.5 },
  ttft: { half: 0.6, threeQuarters: 1, nineTenths: 2.3 },
};

const NO_PROFILE: Template['profile'] = {
  from: 'facts',
  on: 'facts',
  prefillFixedUs: 0,
  step: { tau0Us: 0, tau1Us: 0, tau2Us: 0, tau3Us: 0, tau4Us: 0, tau5Us: 0 },
};

function knownMachine(catalog: Catalog, machineTypeId: string): MachineType {
  const machine = catalog.machineTypes.get(machineTypeId);
  const missing = ['memoryBytes', 'bandwidthBytesPerS', 'flopsPerS'] as const;
  if (machine !== undefined && missing.every((fact) => machine[fact] !== null) && machine.generation !== null) {
    return machine;
  }
  const known =
    machine === undefined ? `no machine type is called ${machineTypeId}` : `${machineTypeId} is not described`;
  throw invalidField(
    'machineTypeId',
    `${known}; give the four facts of its accelerator in machine: memory (memoryBytes), bandwidth (bandwidthBytesPerS), ` +
      'dense bf16 FLOPS (flopsPerS) and link (linkBytesPerS), and how many there are (accelerators)',
  );
}

function machineOf({ accelerators, name, ...facts }: MachineFacts): MachineType {
  return {
    ...facts,
    id: 'given-machine',
    name,
    accelerator: name,
    generation: 'other',
    acceleratorCount: accelerators,
    flopsFp8PerS: null,
    flopsFp4PerS: null,
    sources: ['given'],
  };
}

function checkWeightsFit({ architecture, id }: Model, machine: MachineType, weightBits: number): void {
  if (architecture === undefined) return;
  const neededBytes = (architecture.parametersTotal * weightBits) / 8;
  const thereBytes = 0.9 * machine.acceleratorCount * (machine.memoryBytes ?? 0);
  if (neededBytes <= thereBytes) return;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(0)} GB`;
  throw invalidField(
    'machine',
    `the weights of ${id} take ${gb(neededBytes)} at ${weightBits} bits; ${machine.name} has ${gb(thereBytes)} for them`,
  );
}

function unknownModel(catalog: Catalog, modelId: string): Error {
  const wanted = modelId.toLowerCase();
  const near = [...catalog.models.keys()].filter((id) => id.includes(wanted) || wanted.includes(id)).slice(0, 5);
  const hint = near.length > 0 ? `did you mean ${near.join(', ')}?` : '`cubit model list` shows those there are';
  return invalidField('modelId', `no model is called ${modelId}; ${hint}`);
}
