import type { KvEvent } from '../../core/serving/kv-blocks.ts';

/**
 * One batch of KV cache events, as vLLM and SGLang publish it (msgpack, decoded): as arrays, whose first entry is the tag
 * (vLLM up to 0.1x, SGLang), or as maps with `type` (newer vLLM). Source: vLLM's `kv_events.py` and its example
 * subscriber. What only some versions send is optional; what is on another medium than the accelerator is left out.
 */
export interface DecodedBatch {
  readonly events: readonly KvEvent[];
  /** Events that could not be read. */
  readonly malformed: number;
}

const STORED_FIELDS = [
  'block_hashes',
  'parent_block_hash',
  'token_ids',
  'block_size',
  'lora_id',
  'medium',
  'lora_name',
  'extra_keys',
  'group_idx',
];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  BlockStored: STORED_FIELDS,
  BlockRemoved: ['block_hashes', 'medium', 'group_idx'],
  AllBlocksCleared: [],
};
type Fields = Readonly<Record<string, unknown>>;

/** null: it is no batch. */
export function decodeBatch(value: unknown): DecodedBatch | null {
  const events = Array.isArray(value) ? value[1] : isFields(value) ? value['events'] : undefined;
  if (!Array.isArray(events)) return null;
  const decoded: KvEvent[] = [];
  let malformed = 0;
  for (const raw of events as unknown[]) {
    const event = decodeEvent(raw);
    if (event === null) malformed += 1;
    else if (event !== 'elsewhere') decoded.push(event);
  }
  return { events: decoded, malformed };
}

function decodeEvent(raw: unknown): KvEvent | 'elsewhere' | null {
  const tag = Array.isArray(raw) ? raw[0] : isFields(raw) ? raw['type'] : undefined;
  const names = typeof tag === 'string' && Object.hasOwn(FIELDS, tag) ? FIELDS[tag] : undefined;
  if (names === undefined) return null;
  const fields = Array.isArray(raw)
    ? Object.fromEntries(names.map((name, at) => [name, raw[at + 1]]))
    : (raw as Fields);
  if (tag === 'AllBlocksCleared') return { kind: 'cleared' };
  const hashes = hashesOf(fields['block_hashes']);
  if (hashes === null) return null;
  if ((fields['medium'] ?? 'GPU') !== 'GPU' || Number(fields['group_idx'] ?? 0) !== 0) return 'elsewhere';
  return tag === 'BlockRemoved' ? { kind: 'removed', hashes } : storedOf(fields, hashes);
}

function storedOf(fields: Fields, hashes: readonly string[]): KvEvent | null {
  const blockTokens = Number(fields['block_size']);
  const tokenIds = fields['token_ids'];
  const parent = fields['parent_block_hash'] == null ? null : hashOf(fields['parent_block_hash']);
  if (parent === undefined || !Number.isInteger(blockTokens) || blockTokens < 1) return null;
  if (!Array.isArray(tokenIds) || tokenIds.length !== hashes.length * blockTokens) return null;
  if (!tokenIds.every((id) => typeof id === 'number')) return null;
  const adapter = adapterOf(fields);
  return {
    kind: 'stored',
    hashes,
    parent,
    tokenIds,
    blockTokens,
    adapter,
    salt: saltOf(fields['extra_keys'], adapter),
  };
}

function adapterOf(fields: Fields): string {
  const name = fields['lora_name'];
  if (typeof name === 'string') return name;
  const id = fields['lora_id'];
  // An older engine tells an adapter by a number that we do not know: it matches nobody's.
  return id == null ? '' : `#${String(id)}`;
}

/** The first block's last text that is not the adapter's name: engines put the salt there. */
function saltOf(extraKeys: unknown, adapter: string): string {
  const first: unknown = Array.isArray(extraKeys) ? extraKeys[0] : undefined;
  const texts = Array.isArray(first) ? first.filter((key) => typeof key === 'string' && key !== adapter) : [];
  return String(texts.at(-1) ?? '');
}

function hashesOf(value: unknown): readonly string[] | null {
  if (!Array.isArray(value)) return null;
  const hashes = value.map(hashOf);
  return hashes.includes(undefined) ? null : (hashes as string[]);
}

/** A number of up to 64 bits, or bytes. */
function hashOf(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return typeof value === 'string' ? value : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
