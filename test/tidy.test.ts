import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The house's own rules that no linter knows. */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const sources = files.filter((file) => /^(src|scripts)\/.*\.(ts|mjs)$/.test(file));

describe('tidy', () => {
  it('keeps files short', () => {
    const long = sources.filter((file) => read(file).split('\n').length > 400);
    expect(long).toEqual([]);
  });

  it('leaves nothing half done', () => {
    const marks = sources.filter(
      (file) => !file.endsWith('.test.ts') && /\b(TODO|FIXME|XXX)\b|not implemented/i.test(read(file)),
    );
    expect(marks).toEqual([]);
  });

  it('skips no test in silence', () => {
    const skips = files.filter(
      (file) => file.endsWith('.test.ts') && /\b(it|test|describe)\.(only|todo|skip)\(/.test(read(file)),
    );
    expect(skips).toEqual([]);
  });

  it('names no registry host and records no download address', () => {
    const hosts = new RegExp(['registry\\.npmjs', 'pythonhosted', 'files\\.pypi'].join('|'));
    const named = files.filter(
      (file) => /\.(ts|mjs|md|json|yaml|sh)$/.test(file) && file !== 'test/tidy.test.ts' && hosts.test(read(file)),
    );
    expect(named).toEqual([]);
  });

  it('links in the documents lead somewhere', () => {
    const dead: string[] = [];
    for (const file of files.filter((name) => name.endsWith('.md'))) {
      for (const [, target = ''] of read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        if (!existsSync(join(root, dirname(file), target))) dead.push(`${file} → ${target}`);
      }
    }
    expect(dead).toEqual([]);
  });

  it('every invariant names tests that exist', () => {
    const rows = [...read('docs/invariants.md').matchAll(/`([^`]+\.test\.ts)`/g)].map(([, file]) => file as string);
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});
