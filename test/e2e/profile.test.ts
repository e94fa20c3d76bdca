import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEFAULT_TEMPLATE_ID } from '../../src/catalog/default.ts';
import { loadCatalog } from '../../src/catalog/load.ts';
import { runCli, temporaryFolder } from './process.ts';

it('profiles the embedded engine; the next start goes by it', async () => {
  const data = temporaryFolder();
  const { code, stdout, stderr } = await runCli(['--json', '--data', data, 'profile', '--quick']);
  expect(code, stderr).toBe(0);
  const { file, charts, profile } = JSON.parse(stdout);
  expect(file).toBe(join(data, 'profiles', `${DEFAULT_TEMPLATE_ID}.json`));
  expect(profile.step.tau1Us).toBeGreaterThan(0);
  expect(profile.step.tau3Us).toBeGreaterThan(0);
  expect(profile.fit.medianErrorPct).toBeLessThan(50);
  expect(profile.selfCheck.us).toBeGreaterThan(0);
  expect(readFileSync(charts, 'utf8')).toContain('<svg');
  const catalog = await loadCatalog(undefined, join(data, 'profiles'));
  const template = catalog.templates.get(DEFAULT_TEMPLATE_ID)!;
  expect(template.profile.step).toEqual(profile.step);
  expect(template.tiers).toEqual(profile.tiers);
});

it('says what it cannot profile, and writes nothing', async () => {
  const data = temporaryFolder();
  const nobody = await runCli(['--json', '--data', data, '--url', 'http://127.0.0.1:9', 'profile']);
  expect(nobody.code).toBe(1);
  expect(JSON.parse(nobody.stderr).error.code).toBe('engine_unavailable');
  const elsewhere = await runCli(['--data', data, 'profile', '--template', 'llama-3.1-8b-h100-x1']);
  expect(elsewhere.code).toBe(2);
  expect(elsewhere.stderr).toContain('--url');
  const both = await runCli(['--data', data, 'profile', '--quick', '--thorough']);
  expect(both.code).toBe(2);
  expect(existsSync(join(data, 'profiles'))).toBe(false);
});
