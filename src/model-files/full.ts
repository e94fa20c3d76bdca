import type { Architecture } from '../catalog/schema.ts';
import { Faulty } from './faulty.ts';
import type { GgufHead } from './gguf.ts';

/** Checks that a GGUF file is a whole model of the base's architecture. Throws `Faulty` with what differs. */
export function checkFullModel({ metadata, tensors }: GgufHead, base: Architecture): void {
  const type = metadata.get('general.type');
  if (type !== undefined && type !== 'model') throw new Faulty(`its general.type is ${type}, not model`);
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') throw new Faulty('it does not say its general.architecture');
  const wanted: Readonly<Record<string, number | null>> = {
    block_count: base.layers,
    embedding_length: base.hiddenSize,
    'attention.head_count': base.attention.heads,
    'attention.head_count_kv': base.attention.kvHeads,
    feed_forward_length: base.feedForward.intermediateSize,
  };
  for (const [field, value] of Object.entries(wanted)) {
    const found = metadata.get(`${architecture}.${field}`);
    if (value === null || found === value) continue;
    throw new Faulty(`${architecture}.${field} is ${found ?? 'not said'}; the base model has ${value}`);
  }
  if (!tensors.has('token_embd.weight')) throw new Faulty('it has no token embeddings');
}
