import { architectureFaults } from './check-architecture.ts';
import type { Entry, Fault } from './fault.ts';
import type { MachineType, Model, Template } from './schema.ts';

interface Parts {
  readonly models: readonly Entry<Model>[];
  readonly machineTypes: readonly Entry<MachineType>[];
  readonly templates: readonly Entry<Template>[];
}

type Report = (path: string, message: string) => void;

/** What no single item can show: names that lead nowhere, items that contradict each other or themselves. */
export function checkCatalog({ models, machineTypes, templates }: Parts): Fault[] {
  const faults: Fault[] = [];
  const reportFor =
    ({ file, path }: Pick<Entry<unknown>, 'file' | 'path'>): Report =>
    (field, message) =>
      faults.push({ file, path: [path, field].filter((part) => part !== '').join('.'), message });

  for (const entries of [models, machineTypes, templates]) reportDuplicates(entries, reportFor);
  const modelById = new Map(models.map(({ id, value }) => [id, value]));
  const machineTypeIds = new Set(machineTypes.map(({ id }) => id));
  for (const entry of models) if (entry.value) checkModel(entry.value, modelById, reportFor(entry));
  for (const entry of templates) {
    const report = reportFor(entry);
    if (entry.file !== `templates/${entry.id}.json`) report('id', `is ${entry.id}; name the file ${entry.id}.json`);
    if (entry.value) checkTemplate(entry.value, modelById, machineTypeIds, report);
  }
  return faults;
}

function reportDuplicates(entries: readonly Entry<unknown>[], reportFor: (entry: Entry<unknown>) => Report): void {
  const first = new Map<string, Entry<unknown>>();
  for (const entry of entries) {
    const other = first.get(entry.id);
    if (other) reportFor(entry)('id', `${entry.id} is taken in ${other.file}; choose another`);
    else first.set(entry.id, entry);
  }
}

function checkModel(model: Model, models: ReadonlyMap<string, Model | null>, report: Report): void {
  checkBase(model, models, report);
  if (model.availability === 'external' && model.weights) {
    report('weights', 'an external model has no public weights; remove them or say open_weights');
  }
  if (!model.architecture) return;
  for (const [path, message] of architectureFaults(model.architecture)) report(`architecture.${path}`, message);
}

function checkBase({ baseModelId, id, kind }: Model, models: ReadonlyMap<string, Model | null>, report: Report): void {
  const fault = baseFault(id, kind, baseModelId, models);
  if (fault !== null) report('baseModelId', fault);
}

function baseFault(
  id: string,
  kind: Model['kind'],
  baseModelId: string | undefined,
  models: ReadonlyMap<string, Model | null>,
): string | null {
  if (kind === 'base') return baseModelId === undefined ? null : 'a base has none; remove it or say kind lora or full';
  if (baseModelId === undefined) return `is missing; name the base of this ${kind} model`;
  if (baseModelId === id) return 'is the model itself; name its base';
  const base = models.get(baseModelId);
  if (base === undefined) return unknown('model', baseModelId);
  return base?.kind === 'lora' ? `${baseModelId} is a LoRA itself; name a base or full model` : null;
}

/** Exactly these roles make a unit of each kind. */
const ROLES: Record<Template['kind'], readonly string[]> = {
  single: ['unified'],
  two_type: ['prefill', 'decode'],
  three_type: ['prefill', 'decode', 'cache'],
};

function checkTemplate(
  template: Template,
  models: ReadonlyMap<string, Model | null>,
  machineTypeIds: ReadonlySet<string>,
  report: Report,
): void {
  const { engine, kind, kvTokensPerUnit, modelId, roles } = template;
  const wanted = ROLES[kind];
  if (
    roles
      .map(({ role }) => role)
      .sort()
      .join() !== [...wanted].sort().join()
  ) {
    report('roles', `a ${kind} template has the roles ${wanted.join(' + ')}, each once`);
  }
  roles.forEach(({ machineTypeId }, index) => {
    if (!machineTypeIds.has(machineTypeId)) {
      report(`roles[${index}].machineTypeId`, unknown('machine type', machineTypeId));
    }
  });
  const model = models.get(modelId);
  if (model === undefined) report('modelId', unknown('model', modelId));
  if (model) checkEngine(template, model, report);
  if (engine.contextTokens > kvTokensPerUnit) {
    report('engine.contextTokens', `is more than kvTokensPerUnit ${kvTokensPerUnit}: one sequence must fit`);
  }
  checkTiers(template, report);
}

function checkEngine({ engine }: Template, model: Model, report: Report): void {
  if (model.contextTokens !== null && engine.contextTokens > model.contextTokens) {
    report('engine.contextTokens', `is more than the model's ${model.contextTokens}; lower it`);
  }
  if (engine.kind !== 'llama') return;
  if (model.weights?.format !== 'gguf') report('engine.kind', `llama needs gguf weights; give ${model.id} some`);
}

function checkTiers({ engine, tiers }: Template, report: Report): void {
  tiers.forEach((tier, index) => {
    const at = `tiers[${index}]`;
    const before = tiers[index - 1];
    if (tier.batch > engine.sequences)
      report(`${at}.batch`, `is more than engine.sequences ${engine.sequences}; lower it`);
    if (before && tier.coefficient <= before.coefficient) {
      report(`${at}.coefficient`, `must be above the tier before (${before.coefficient}); order tiers by it`);
    }
    if (before && tier.batch > before.batch) {
      report(`${at}.batch`, `is above the tier before (${before.batch}): more redundancy cannot mean larger batches`);
    }
    for (const key of ['ttftMs', 'tpotMs'] as const) {
      const latency = tier[key];
      if (latency && latency.p95 < latency.p50) report(`${at}.${key}.p95`, `is below p50 ${latency.p50}; correct one`);
    }
  });
}

function unknown(noun: string, id: string): string {
  return `no ${noun} is called ${id}; add it or correct the name`;
}
