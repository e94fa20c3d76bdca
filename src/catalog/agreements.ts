import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { Fault } from './fault.ts';

/** One version of the text that a tenant accepts before it buys. */
export interface Agreement {
  readonly version: string;
  readonly title: string;
  readonly validFromMs: number;
  /** Markdown. */
  readonly text: string;
  /** Of title and text, hex: what was accepted can be told from what the file says later. */
  readonly sha256: string;
}

const FOLDER = 'agreements';

const Head = z.strictObject({
  version: z.string().regex(/^[0-9a-z][0-9a-z._-]{0,39}$/, 'lower-case letters, digits and . _ -, at most 40 signs'),
  title: z.string().min(1, 'has to be said').max(200),
  validFrom: z.iso.datetime({ offset: true, error: 'a time with its offset, as in 2026-11-01T00:00:00+08:00' }),
});

/**
 * Every `agreements/<version>.md` of a catalogue folder: lines `name: value` between two lines `---`, then the text.
 * Without the folder there is nothing to accept. What is wrong is noted in `faults`.
 */
export async function readAgreements(dir: string, faults: Fault[]): Promise<Agreement[]> {
  const names = await readdir(join(dir, FOLDER)).catch(() => []);
  const agreements: Agreement[] = [];
  for (const name of names.filter((one) => one.endsWith('.md')).sort()) {
    const file = `${FOLDER}/${name}`;
    const report = (path: string, message: string) => faults.push({ file, path, message });
    const agreement = agreementOf(await readFile(join(dir, file), 'utf8'), report);
    if (agreement === null) continue;
    if (agreement.version !== basename(name, '.md'))
      report('version', `is not the file's name; call it ${agreement.version}.md`);
    const twin = agreements.find((other) => other.validFromMs === agreement.validFromMs);
    if (twin !== undefined) report('validFrom', `is that of ${twin.version} too; only one can be the current version`);
    agreements.push(agreement);
  }
  return agreements;
}

function agreementOf(source: string, report: (path: string, message: string) => void): Agreement | null {
  const parts = /^---\r?\n([\s\S]*?)\r?\n---\r?\n([\s\S]*)$/.exec(source);
  if (parts === null) {
    report('', 'has to begin with version, title and validFrom between two lines ---');
    return null;
  }
  const [, head = '', body = ''] = parts;
  const parsed = Head.safeParse(fieldsOf(head));
  for (const issue of parsed.error?.issues ?? []) {
    const help = issue.code === 'unrecognized_keys' ? '; remove it or correct its name' : '';
    report(issue.path.join('.'), `${issue.message}${help}`);
  }
  const text = body.trim();
  if (text === '') report('', 'has no text');
  if (!parsed.success || text === '') return null;
  const { version, title, validFrom } = parsed.data;
  const sha256 = createHash('sha256').update(`${title}\n${text}`).digest('hex');
  return { version, title, validFromMs: Date.parse(validFrom), text, sha256 };
}

function fieldsOf(head: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of head.split(/\r?\n/)) {
    const at = line.indexOf(':');
    const name = (at < 0 ? line : line.slice(0, at)).trim();
    if (name !== '') fields[name] = at < 0 ? '' : line.slice(at + 1).trim();
  }
  return fields;
}
