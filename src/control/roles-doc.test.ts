import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { may, PERMISSIONS, type Permission, ROLES } from '../core/roles.ts';
import { verbs } from './registry.ts';

const page = readFileSync(new URL('../../docs/members-and-roles.md', import.meta.url), 'utf8');
const permissions = Object.entries(PERMISSIONS) as [Permission, string][];

/** What the page has between `<!-- name -->` and `<!-- /name -->`. */
const part = (name: string) => page.split(`<!-- ${name} -->\n`)[1]?.split(`<!-- /${name} -->`)[0];

const table = (rows: readonly (readonly string[])[]) => rows.map((row) => `| ${row.join(' | ')} |\n`).join('');

test('the page says which role has which permission', () => {
  const head = ['permission', ...ROLES, ''];
  const rows = permissions.map(([name, what]) => [
    `\`${name}\``,
    ...ROLES.map((role) => (may(role, name) ? '✓' : '–')),
    what,
  ]);
  expect(part('roles')).toBe(table([head, head.map(() => '---'), ...rows]));
});

test('the page says which permission opens which verb', () => {
  const opens = [...permissions.map(([name]) => name), 'anyone'].map((access) => {
    const names = verbs.filter((verb) => verb.access === access).map((verb) => `\`${verb.name}\``);
    return [`\`${access}\``, names.join(', ') || elsewhere[access] || ''];
  });
  expect(part('verbs')).toBe(table([['permission', 'verbs'], ['---', '---'], ...opens]));
});

/** Permissions that no verb names. */
const elsewhere: Readonly<Record<string, string>> = {
  use: 'the gateway: requests to endpoints',
  manage_owners: 'giving, changing and taking the role `owner`, through the verbs above',
};
