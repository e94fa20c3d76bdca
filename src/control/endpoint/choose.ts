import type { Catalog, Model, Template } from '../../catalog/schema.ts';
import type { Fleet } from '../../fleet/port.ts';
import { invalidField } from '../input.ts';
import { templatesOf } from '../model/schemas.ts';

export interface WantedModel {
  readonly modelId: string;
  readonly templateId?: string | undefined;
  readonly coefficient?: number | undefined;
  readonly trafficPercent?: number | undefined;
}

export interface ChosenModel {
  readonly model: Model;
  readonly template: Template;
  readonly coefficient: number;
  readonly trafficPercent: number;
}

/**
 * Fills in what was left out: the template (one that a machine here runs, if any does), the smallest coefficient, all of
 * the traffic when there is one model. Throws `invalid_request` that names the field and what could stand there.
 */
export function chooseModels(catalog: Catalog, fleet: Fleet, wanted: readonly WantedModel[]): ChosenModel[] {
  const percents = trafficOf(wanted);
  const chosen = wanted.map((entry, index) => {
    const field = `models.${index}`;
    const model = catalog.models.get(entry.modelId);
    if (model === undefined) throw invalidField(`${field}.modelId`, `there is no model ${entry.modelId}`);
    const template = chooseTemplate(catalog, fleet, entry, field);
    const coefficient = chooseCoefficient(template, entry.coefficient, field);
    return { model, template, coefficient, trafficPercent: percents[index]! };
  });
  checkAlike(chosen);
  return chosen;
}

function trafficOf(wanted: readonly WantedModel[]): number[] {
  if (wanted.length === 1) return checkedTraffic([wanted[0]?.trafficPercent ?? 100]);
  return checkedTraffic(
    wanted.map(({ trafficPercent }, index) => {
      if (trafficPercent !== undefined) return trafficPercent;
      throw invalidField(`models.${index}.trafficPercent`, 'each model needs its share when there are several');
    }),
  );
}

/** Shares of an endpoint's models sum to 100. */
export function checkedTraffic(percents: readonly number[], field = 'models'): number[] {
  const sum = percents.reduce((total, percent) => total + percent, 0);
  if (sum !== 100) throw invalidField(field, `trafficPercent sums to ${sum}, it has to be 100`);
  return [...percents];
}

function chooseTemplate(catalog: Catalog, fleet: Fleet, wanted: WantedModel, field: string): Template {
  const candidates = templatesOf(catalog, wanted.modelId);
  const chosen =
    wanted.templateId === undefined
      ? (candidates.find((template) => fleet.serves(template.id)) ?? candidates[0])
      : candidates.find((template) => template.id === wanted.templateId);
  if (chosen !== undefined) return chosen;
  const names = candidates.map((template) => template.id).join(', ');
  throw candidates.length === 0
    ? invalidField(`${field}.modelId`, `${wanted.modelId} has no deployment template, so its units cannot be bought`)
    : invalidField(`${field}.templateId`, `the templates of ${wanted.modelId} are ${names}`);
}

function chooseCoefficient(template: Template, wanted: number | undefined, field: string): number {
  const offered = template.tiers.map((tier) => tier.coefficient).sort((a, b) => a - b);
  if (wanted === undefined) return offered[0]!;
  if (offered.includes(wanted)) return wanted;
  throw invalidField(`${field}.coefficient`, `the tiers of ${template.id} are ${offered.join(', ')}`);
}

/** Requests may go to either model, so their units have to be sold the same way, and no model twice the same. */
function checkAlike(chosen: readonly ChosenModel[]): void {
  const [first] = chosen;
  for (const [index, entry] of chosen.entries()) {
    if (entry.model.provisionedAs !== first?.model.provisionedAs) {
      throw invalidField(`models.${index}.modelId`, 'one endpoint cannot mix model units and tokens per second');
    }
    const twin = chosen.findIndex(
      (other) => other.template === entry.template && other.coefficient === entry.coefficient,
    );
    if (twin !== index)
      throw invalidField(`models.${index}`, `is the same as models.${twin}; give that one more units`);
  }
}
