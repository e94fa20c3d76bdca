/** Prefix of every id, so that one can be told from another at sight (`ig-…` is an instance group). */
export const ID_PREFIXES = {
  tenant: 't',
  key: 'key',
  person: 'per',
  member: 'mem',
  invitation: 'inv',
  accessToken: 'tok',
  endpoint: 'ep',
  servedModel: 'sm',
  order: 'ord',
  group: 'ig',
  segment: 'seg',
  term: 'term',
  lot: 'lot',
  recognition: 'rec',
  notice: 'ntc',
  channel: 'chn',
  delivery: 'dlv',
  budget: 'bgt',
  overdue: 'ovd',
  elasticUnit: 'eu',
  decision: 'dec',
  quota: 'quo',
  access: 'acc',
  application: 'app',
  acceptance: 'agr',
  replica: 'rep',
  server: 'srv',
  model: 'mdl',
  bill: 'bill',
  correction: 'cor',
  transaction: 'txn',
  pool: 'pool',
  limitRequest: 'lim',
  upstream: 'up',
  rollout: 'rol',
  request: 'req',
  audit: 'aud',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

/** Whether an id is one of this kind, by its prefix. */
export function isId(kind: IdKind, id: string): boolean {
  return id.startsWith(`${ID_PREFIXES[kind]}-`);
}

const ALPHABET = '0123456789abcdefghijkmnpqrstuvwx'; // 32 signs: no l, o, y, z to misread

/** `prefix-` and one sign per random byte (5 bits each). Bytes come from the caller: core has no randomness. */
export function formatId(kind: IdKind, bytes: Uint8Array): string {
  let body = '';
  for (const byte of bytes) body += ALPHABET[byte & 31];
  return `${ID_PREFIXES[kind]}-${body}`;
}

/** Random bytes an id takes: 16 signs = 80 bits. */
export const ID_BYTES = 16;

/** Kinds of which many are written, in order of time: in an index new ones then stand side by side, not one a page. */
const TIMED_KINDS: ReadonlySet<IdKind> = new Set([
  'transaction',
  'bill',
  'correction',
  'recognition',
  'notice',
  'request',
  'audit',
]);
/** 45 bits of milliseconds: until the year 3084. */
const TIME_SIGNS = 9;

/** As `formatId`; ids of records begin with the instant at which they were made, so that their order is that of time. */
export function formatIdAt(kind: IdKind, bytes: Uint8Array, atMs: number): string {
  if (!TIMED_KINDS.has(kind)) return formatId(kind, bytes);
  let time = '';
  for (let left = atMs, i = 0; i < TIME_SIGNS; i++, left = Math.floor(left / 32)) time = ALPHABET[left % 32] + time;
  return `${ID_PREFIXES[kind]}-${time}${formatId(kind, bytes).slice(ID_PREFIXES[kind].length + 1)}`;
}
