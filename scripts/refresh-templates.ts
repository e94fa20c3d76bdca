import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { unitFromFacts } from '../src/catalog/from-facts.ts';
import { defaultCatalogDir, loadCatalog } from '../src/catalog/load.ts';

/** `npm run templates`: writes what the performance model gives into every template whose profile is from facts. */
const catalog = await loadCatalog();
for (const template of catalog.templates.values()) {
  const unit = template.profile.from === 'facts' ? unitFromFacts(template, catalog) : null;
  if (unit === null) continue;
  const path = join(defaultCatalogDir, 'templates', `${template.id}.json`);
  const file = JSON.parse(await readFile(path, 'utf8')) as Record<string, object>;
  const on = template.profile.on.replace(/^roofline of/, 'performance model of');
  file['profile'] = { from: 'facts', on, prefillFixedUs: unit.prefillFixedUs, step: unit.step };
  await writeFile(path, JSON.stringify({ ...file, kvTokensPerUnit: unit.kvTokens }, null, 2) + '\n');
  console.log(`${template.id}: ${JSON.stringify(unit)}`);
}
