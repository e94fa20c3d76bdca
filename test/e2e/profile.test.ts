import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEFAULT_TEMPLATE_ID } from '../../src/catalog/default.ts';
import { loadCatalog } from '../../src/catalog/load.ts';
import { writeAdapter } from '../../src/model-files/write-adapter.ts';
import { smolMatrices } from '../smol-matrices.ts';
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

  // An adapter is measured beside it and added: the unit stays as it was measured.
  const adapter = join(data, 'r32.gguf');
  await writeAdapter(adapter, smolMatrices(), { rank: 32, alpha: 32, seed: 1, scale: 0.001 });
  const added = await runCli(['--json', '--data', data, 'profile', '--minutes', '0.1', '--adapter', adapter]);
  expect(added.code, added.stderr).toBe(0);
  const { adapters, profile: withAdapter } = JSON.parse(added.stdout);
  const [{ decode, prefill, rank }] = adapters;
  expect(rank).toBe(32);
  expect(withAdapter).toEqual({ ...profile, lora: [{ rank, prefill, decode }] });
  const lora = (await loadCatalog(undefined, join(data, 'profiles'))).templates.get(DEFAULT_TEMPLATE_ID)?.lora;
  expect(lora).toContainEqual({ rank, prefill, decode });
  expect(lora?.map((one) => one.rank)).toEqual([8, 16, 32, 64]);
});

it('says what it cannot profile, and writes nothing', async () => {
  const data = temporaryFolder();
  const nobody = await runCli(['--json', '--data', data, '--url', 'http://127.0.0.1:9', 'profile']);
  expect(nobody.code).toBe(1);
  expect(JSON.parse(nobody.stderr).error.code).toBe('engine_unavailable');
  const elsewhere = await runCli(['--data', data, 'profile', '--template', 'llama-3.1-8b-h100-x1']);
  expect(elsewhere.code).toBe(2);
  expect(elsewhere.stderr).toContain('--url');
  for (const [path, reason] of [
    [join(data, 'nothing.gguf'), /There is no file/],
    [import.meta.filename, /no GGUF file/],
  ] as const) {
    const faulty = await runCli(['--data', data, 'profile', '--adapter', path]);
    expect(faulty.code).not.toBe(0);
    expect(faulty.stderr).toMatch(reason);
  }
  const both = await runCli(['--data', data, 'profile', '--quick', '--thorough']);
  expect(both.code).toBe(2);
  expect(existsSync(join(data, 'profiles'))).toBe(false);
});
