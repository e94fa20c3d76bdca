import { expect, test } from 'vitest';
import { covers, KEY_ROLES, MEMBER_ROLES, may, PERMISSIONS, type Permission, permissionsOf, ROLES } from './roles.ts';

const permissions = Object.keys(PERMISSIONS) as Permission[];

test('every role sees, and only the operator runs the platform', () => {
  expect(ROLES.filter((role) => !may(role, 'view'))).toEqual([]);
  expect(ROLES.filter((role) => may(role, 'operate'))).toEqual(['operator']);
  expect(permissionsOf('operator')).toEqual(permissions);
});

test('an owner has all but the platform, an admin all but that and owners', () => {
  expect(permissions.filter((permission) => !may('owner', permission))).toEqual(['operate']);
  expect(permissions.filter((permission) => !may('admin', permission))).toEqual(['manage_owners', 'operate']);
});

test('no two roles are the same, and each is needed', () => {
  const rights = ROLES.map((role) => permissionsOf(role).join());
  expect(new Set(rights).size).toBe(ROLES.length);
  const holders = permissions.map((permission) => ROLES.filter((role) => may(role, permission)).length);
  expect(Math.min(...holders)).toBeGreaterThan(0);
});

test('what covers what is an order, with finance and developer beside each other', () => {
  for (const a of ROLES) {
    expect(covers(a, a)).toBe(true);
    for (const b of ROLES) {
      if (a !== b) expect(covers(a, b) && covers(b, a), `${a} ${b}`).toBe(false);
      for (const c of ROLES) if (covers(a, b) && covers(b, c)) expect(covers(a, c), `${a} ${b} ${c}`).toBe(true);
    }
  }
  expect(MEMBER_ROLES.filter((role) => covers('admin', role))).toEqual(['admin', 'finance', 'developer', 'viewer']);
  expect(MEMBER_ROLES.filter((role) => covers('developer', role))).toEqual(['developer', 'viewer']);
  expect(KEY_ROLES.filter((role) => covers('developer', role))).toEqual(['inference', 'developer', 'viewer']);
  expect(covers('finance', 'developer') || covers('developer', 'finance')).toBe(false);
});
