import { z } from 'zod';
import { type Catalog, Model } from '../../catalog/schema.ts';

const templateIds = z.array(z.string()).describe('Deployment templates whose units can be bought');

/** What a list shows of a model; its facts are in `model.show`. */
export const ModelSummary = z.object({
  ...Model.pick({
    id: true,
    name: true,
    family: true,
    publisher: true,
    kind: true,
    availability: true,
    provisionedAs: true,
    preview: true,
    contextTokens: true,
    capabilities: true,
  }).shape,
  templateIds,
});

export const ModelDetail = z.object({ ...Model.shape, templateIds });

/** A model's templates, by id. */
export function templatesOf(catalog: Catalog, modelId: string) {
  return [...catalog.templates.values()].filter((template) => template.modelId === modelId).sort(byId);
}

export function byId(a: { id: string }, b: { id: string }): number {
  return a.id < b.id ? -1 : 1;
}

export function templateIdsOf(catalog: Catalog, modelId: string): string[] {
  return templatesOf(catalog, modelId).map((template) => template.id);
}
