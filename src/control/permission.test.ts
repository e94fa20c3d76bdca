import { afterAll, describe, expect, test } from 'vitest';
import { MEMBER_ROLES, may, PERMISSIONS, ROLES, type Role, rolesWith } from '../core/roles.ts';
import { openStore } from '../store/store.ts';
import { TestControl } from './fixture.ts';
import { verbs } from './registry.ts';
import type { Actor } from './verb.ts';

/** Every verb against every role, from the table of core/roles.ts. Nothing here names a verb: a new one is in it. */
describe('a role is let in by the permission of the verb, and by nothing else', async () => {
  const control = new TestControl(await openStore({ path: ':memory:' }));
  afterAll(() => control.store.close());
  const { tenantId, reader } = await control.tenant();
  const actors = new Map<Role, Actor>([['inference', reader]]);
  for (const role of MEMBER_ROLES) actors.set(role, (await control.member(tenantId, role)).actor);
  actors.set('operator', (await control.member(null, 'operator')).actor);

  const cases = verbs.flatMap((verb) => ROLES.map((role) => [verb.name, role, verb] as const));
  test.each(cases)('%s by %s', async (_name, role, verb) => {
    const actor = actors.get(role)!;
    const answer = await control.call(verb, actor, {}).catch((error: unknown) => error);
    const needs = verb.access;
    if (needs === 'anyone' || may(role, needs)) {
      expect(answer).not.toMatchObject({ code: 'forbidden' });
    } else {
      expect(answer).toMatchObject({ code: 'forbidden', details: { needs, roles: rolesWith(needs), role } });
    }
  });

  test('nobody in particular is let in only where anyone is', async () => {
    for (const verb of verbs) {
      const answer = await control.call(verb, { kind: 'anyone' }, {}).catch((error: unknown) => error);
      expect(answer, verb.name).toMatchObject({ code: verb.access === 'anyone' ? 'invalid_request' : 'forbidden' });
    }
    expect(verbs.filter((verb) => verb.access === 'anyone').map((verb) => verb.name)).toEqual(['member.accept']);
  });

  test('every permission opens something', () => {
    const needed = new Set<string>(verbs.map((verb) => verb.access));
    // `use` is the gateway's, `manage_owners` is asked for when a role is given or taken.
    const elsewhere = ['use', 'manage_owners'];
    expect(Object.keys(PERMISSIONS).filter((permission) => !needed.has(permission))).toEqual(elsewhere);
  });
});
