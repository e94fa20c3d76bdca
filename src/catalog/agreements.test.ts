import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readAgreements } from './agreements.ts';
import type { Fault } from './fault.ts';
import { defaultCatalogDir } from './load.ts';

const head = (version: string, validFrom = '2026-11-01T00:00:00+08:00') =>
  `---\nversion: ${version}\ntitle: Terms: of units\nvalidFrom: ${validFrom}\n---\n`;

async function read(files: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'cubit-agreements-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'agreements'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, 'agreements', name), text);
  const faults: Fault[] = [];
  return { agreements: await readAgreements(dir, faults), faults };
}

test('each file is a version, with its hash', async () => {
  const { agreements, faults } = await read({
    'v1.md': `${head('v1')}\nPay.\n`,
    'v2.md': `${head('v2', '2027-01-01T00:00:00Z')}Pay more.`,
    'notes.txt': 'no agreement',
  });
  expect(faults).toEqual([]);
  expect(agreements).toMatchObject([
    { version: 'v1', title: 'Terms: of units', validFromMs: Date.UTC(2026, 9, 31, 16), text: 'Pay.' },
    { version: 'v2', validFromMs: Date.UTC(2027, 0, 1), text: 'Pay more.' },
  ]);
  const changed = await read({ 'v1.md': `${head('v1')}Pay!` });
  expect(changed.agreements[0]?.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(changed.agreements[0]?.sha256).not.toBe(agreements[0]?.sha256);
});

test('the folder may be left out', async () => {
  const faults: Fault[] = [];
  expect(await readAgreements('/nowhere', faults)).toEqual([]);
  expect(faults).toEqual([]);
});

test.each([
  ['no head', 'Pay.', '', /begin with version, title and validFrom/],
  ['no text', head('v1'), '', /no text/],
  ['no version', '---\ntitle: T\nvalidFrom: 2026-11-01T00:00:00Z\n---\nPay.', 'version', /./],
  ['no time', `${head('v1', 'soon')}Pay.`, 'validFrom', /offset/],
  ['a version with a slash', `${head('a/b')}Pay.`, 'version', /lower-case/],
  ['another name than its file', `${head('v9')}Pay.`, 'version', /call it v9\.md/],
  ['a field nobody knows', `---\nauthor: me\n${head('v1').slice(4)}Pay.`, '', /remove it/],
])('%s is a fault', async (_what, text, path, message) => {
  const { faults } = await read({ 'v1.md': text });
  expect(faults).toContainEqual({ file: 'agreements/v1.md', path, message: expect.stringMatching(message) });
});

test('two that become valid at once are a fault: neither would be the current one', async () => {
  const { faults } = await read({ 'v1.md': `${head('v1')}a`, 'v2.md': `${head('v2')}b` });
  expect(faults).toMatchObject([{ file: 'agreements/v2.md', path: 'validFrom' }]);
});

test('what ships is whole', async () => {
  const faults: Fault[] = [];
  expect((await readAgreements(defaultCatalogDir, faults)).length).toBeGreaterThan(0);
  expect(faults).toEqual([]);
});
