/**
 * Who may do what: one table of roles and permissions. A verb of the control plane names the permission that it needs
 * (`access`), an actor has one role, and nothing else decides. docs/members-and-roles.md explains it to people.
 */
export const PERMISSIONS = {
  view: 'see models, prices, endpoints, orders, instance groups, replicas, usage and notices; preview orders',
  view_money: 'see the wallet, bills, statements, chargeback and budgets',
  view_people: 'see who belongs to the tenant and who changed what',
  use: 'send requests to endpoints',
  manage_endpoints: 'change and delete endpoints',
  manage_keys: 'make and revoke API keys',
  buy: 'place orders: new endpoints and units, resize, unsubscribe; what that takes: applying for access and quota, agreements',
  pay: 'keep paying for what was bought, and bound it: renew, auto-renew, budgets',
  manage_notices: 'say who is told: webhooks, e-mail, preferences; mark notices as read',
  manage_members: 'invite people, change their roles, remove them, revoke their tokens',
  manage_owners: 'the same for owners',
  operate: 'run the platform: tenants, top-ups, servers, operators',
} as const;

export type Permission = keyof typeof PERMISSIONS;

/** Of people in a tenant. */
export const MEMBER_ROLES = ['owner', 'admin', 'finance', 'developer', 'viewer'] as const;
/** Of API keys. An owner is a person. */
export const KEY_ROLES = ['inference', 'admin', 'finance', 'developer', 'viewer'] as const;
export const ROLES = [...MEMBER_ROLES, 'inference', 'operator'] as const;

export type MemberRole = (typeof MEMBER_ROLES)[number];
export type KeyRole = (typeof KEY_ROLES)[number];
/** `inference`: an application's key. `operator`: who runs the platform; in every tenant what its owner is. */
export type Role = (typeof ROLES)[number];

const yes = true;
const no = false;

const TABLE: Readonly<Record<Permission, Readonly<Record<Role, boolean>>>> = {
  view: { owner: yes, admin: yes, finance: yes, developer: yes, viewer: yes, inference: yes, operator: yes },
  view_money: { owner: yes, admin: yes, finance: yes, developer: yes, viewer: no, inference: yes, operator: yes },
  view_people: { owner: yes, admin: yes, finance: yes, developer: yes, viewer: no, inference: no, operator: yes },
  use: { owner: yes, admin: yes, finance: no, developer: yes, viewer: no, inference: yes, operator: yes },
  manage_endpoints: { owner: yes, admin: yes, finance: no, developer: yes, viewer: no, inference: no, operator: yes },
  manage_keys: { owner: yes, admin: yes, finance: no, developer: yes, viewer: no, inference: no, operator: yes },
  buy: { owner: yes, admin: yes, finance: no, developer: no, viewer: no, inference: no, operator: yes },
  pay: { owner: yes, admin: yes, finance: yes, developer: no, viewer: no, inference: no, operator: yes },
  manage_notices: { owner: yes, admin: yes, finance: yes, developer: yes, viewer: no, inference: no, operator: yes },
  manage_members: { owner: yes, admin: yes, finance: no, developer: no, viewer: no, inference: no, operator: yes },
  manage_owners: { owner: yes, admin: no, finance: no, developer: no, viewer: no, inference: no, operator: yes },
  operate: { owner: no, admin: no, finance: no, developer: no, viewer: no, inference: no, operator: yes },
};

export function may(role: Role, permission: Permission): boolean {
  return TABLE[permission][role];
}

export function permissionsOf(role: Role): Permission[] {
  return (Object.keys(TABLE) as Permission[]).filter((permission) => may(role, permission));
}

export function rolesWith(permission: Permission): Role[] {
  return ROLES.filter((role) => may(role, permission));
}

/** Whether `role` has every permission of `other`: only then may it give, change or take that role. */
export function covers(role: Role, other: Role): boolean {
  return permissionsOf(other).every((permission) => may(role, permission));
}
