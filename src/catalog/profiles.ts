import { mergedByRank } from '../core/serving/lora.ts';
import type { Entry, Fault } from './fault.ts';
import type { Profile, Template } from './schema.ts';

/**
 * Templates with the profiles that were measured for them: coefficients, tiers and adapters' factors (rank by rank) change,
 * what is sold and what it costs does not. Of several profiles of a template the last counts.
 */
export function withProfiles(
  templates: readonly Entry<Template>[],
  profiles: readonly Entry<Profile>[],
  faults: Fault[],
): Entry<Template>[] {
  const byTemplate = new Map<string, Profile>();
  for (const { id, file, value } of profiles) {
    if (value === null) continue;
    const template = templates.find((entry) => entry.id === id);
    if (template === undefined) {
      faults.push({ file, path: 'templateId', message: `no template is called ${id}; remove the file or add it` });
      continue;
    }
    byTemplate.set(id, value);
    const sequences = template.value?.engine.sequences ?? Number.POSITIVE_INFINITY;
    if (value.tiers.some(({ batch }) => batch > sequences)) {
      faults.push({
        file,
        path: 'tiers',
        message: `were found with more than the ${sequences} sequences that ${id} has now; profile it again`,
      });
    }
  }
  return templates.map((entry) => {
    const profile = byTemplate.get(entry.id);
    return entry.value === null || profile === undefined ? entry : { ...entry, value: profiled(entry.value, profile) };
  });
}

function profiled(template: Template, profile: Profile): Template {
  const { lora, on, prefillFixedUs, selfCheck, step, tiers } = profile;
  const measured = { from: 'measured' as const, on, prefillFixedUs, step };
  const checked = selfCheck === null ? measured : { ...measured, selfCheck };
  return { ...template, profile: checked, tiers, ...(lora && { lora: mergedByRank(template.lora ?? [], lora) }) };
}
