import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unitFromFacts } from '../src/catalog/from-facts.ts';
import { defaultCatalogDir, loadCatalog } from '../src/catalog/load.ts';
import { simulatedOn, simulatedTiers } from '../src/catalog/tiers.ts';

/** `npm run templates`: writes what the performance model gives, and its simulation, into every template from facts. */
const catalog = await loadCatalog();
for (const template of catalog.templates.values()) {
  const unit = template.profile.from === 'facts' ? unitFromFacts(template, catalog) : null;
  if (unit === null) continue;
  const path = join(defaultCatalogDir, 'templates', `${template.id}.json`);
  const file = JSON.parse(await readFile(path, 'utf8')) as Record<string, object>;
  const { prefillFixedUs, step } = unit;
  const profile = { from: 'facts', on: simulatedOn(template), prefillFixedUs, step } as const;
  const kvTokensPerUnit = unit.kvTokens;
  const tiers = simulatedTiers({ ...template, profile, kvTokensPerUnit });
  await writeFile(path, JSON.stringify({ ...file, kvTokensPerUnit, profile, tiers }, null, 2) + '\n');
  console.log(`${template.id}: ${JSON.stringify({ ...unit, tiers })}`);
}
