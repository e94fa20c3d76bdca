import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore } from '../../store/store.ts';
import { receiptRecorder } from './recorder.ts';

const KILLS = 5;
/** What each process may record before it is killed, and how much of it has to be safe by then. */
const SAFE_MIN = 400;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cubit-crash-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs `body` in a process of its own, with `at(file)` for imports, and kills it once it has said a number ≥ `SAFE_MIN`. */
async function killed(body: string): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', body], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let safe = 0;
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    safe = Number(line);
    if (safe >= SAFE_MIN) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(child.signalCode).toBe('SIGKILL');
  return safe;
}

const url = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);
const imports = `
  import { openStore } from ${url('../../store/store.ts')};
  import { lineOf } from ${url('../../store/receipts.ts')};
  import { receipt } from ${url('./fixture.ts')};
  import { receiptRecorder } from ${url('./recorder.ts')};
  import { Journal } from ${url('./journal.ts')};
`;
const log = {
  error: (fields: object, message: string) => {
    throw new Error(`${message} ${JSON.stringify(fields)}`);
  },
};

/** What is in the store after the next start: how many, and how many tokens they count. */
async function recovered(): Promise<{ ids: Set<string>; tokens: number }> {
  const store = await openStore({ path: join(folder, 'cubit.db') });
  const recorder = receiptRecorder({ db: store.db, folder: join(folder, 'journal'), log });
  await recorder.flush();
  const rows = await store.db.selectFrom('receipts').select(['id', 'prompt_tokens']).execute();
  await recorder.close();
  await store.close();
  return { ids: new Set(rows.map((row) => row.id)), tokens: rows.reduce((sum, row) => sum + row.prompt_tokens, 0) };
}

test('kill -9 loses no receipt that an fsync covered, and counts none twice', async () => {
  const expected = new Set<string>();
  for (let kill = 0; kill < KILLS; kill++) {
    const safe = await killed(`${imports}
      const journal = new Journal(${JSON.stringify(join(folder, 'journal'))}, () => process.exit(1));
      for (let n = 0; ; n++) {
        journal.append(lineOf(receipt(${kill} * 1e6 + n)));
        if (n % 40 === 0) { await journal.sync(); process.stdout.write(n + '\\n'); }
      }`);
    for (let n = 0; n <= safe; n++) expected.add(`req-${kill * 1e6 + n}`);
  }
  const { ids, tokens } = await recovered();
  expect([...expected].filter((id) => !ids.has(id))).toEqual([]);
  expect(tokens).toBe(ids.size * 100);
});

test('kill -9 in the middle of shipping: what was shipped and is shipped again counts once', async () => {
  for (let kill = 0; kill < KILLS; kill++) {
    // The same receipts in every life: those of the lives before are in the store, in the journal, or in both.
    const safe = await killed(`${imports}
      const store = await openStore({ path: ${JSON.stringify(join(folder, 'cubit.db'))} });
      const log = { error: (fields) => { console.error(fields); process.exit(1); } };
      const recorder = receiptRecorder({ db: store.db, folder: ${JSON.stringify(join(folder, 'journal'))}, log });
      for (let n = 0; ; n++) {
        recorder.record(receipt(n));
        if (n % 40 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        if (n % 400 === 0) { await recorder.flush(); process.stdout.write(n + '\\n'); }
      }`);
    expect(safe).toBeGreaterThanOrEqual(SAFE_MIN);
  }
  const { ids, tokens } = await recovered();
  for (let n = 0; n <= SAFE_MIN; n++) expect(ids).toContain(`req-${n}`);
  expect(tokens).toBe(ids.size * 100);
});
