import { writeFile } from 'node:fs/promises';
import { normal, type Random, seededRandom } from '../workload/random.ts';

/** A matrix that the adapter changes: `blk.0.attn_q.weight`, inputs × outputs. */
export interface AdaptedMatrix {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

const STRING = 8;
const FLOAT32 = 6;
const ALIGNMENT = 32;

export interface AdapterOptions {
  readonly rank: number;
  readonly alpha: number;
  /** The same seed, the same file. */
  readonly seed: number;
  /** Standard deviation of B's values; A's is 0.02. About 0.3 changes what SmolLM2 says, 0.001 hardly does. */
  readonly scale: number;
}

/**
 * A LoRA adapter of random values in a GGUF file (version 3): what it computes is of no use, what it costs is what any
 * adapter of that rank on those matrices costs. Source of the layout: ggml's GGUF specification.
 */
export async function writeAdapter(
  path: string,
  matrices: readonly AdaptedMatrix[],
  { alpha, rank, scale, seed }: AdapterOptions,
): Promise<void> {
  const random = seededRandom(seed);
  const tensors = matrices.flatMap(({ inputs, name, outputs }) => [
    { name: `${name}.lora_a`, shape: [inputs, rank] as const, deviation: 0.02 },
    { name: `${name}.lora_b`, shape: [rank, outputs] as const, deviation: scale },
  ]);
  const fields = [
    field('general.architecture', STRING, text('llama')),
    field('general.type', STRING, text('adapter')),
    field('adapter.type', STRING, text('lora')),
    field('adapter.lora.alpha', FLOAT32, float(alpha)),
  ];
  const infos: Buffer[] = [];
  const bodies: Buffer[] = [];
  let offset = 0;
  for (const { deviation, name, shape } of tensors) {
    infos.push(text(name), uint32(2), uint64(shape[0]), uint64(shape[1]), uint32(0), uint64(offset));
    const body = values(shape[0] * shape[1], deviation, random);
    bodies.push(padded(body));
    offset += bodies.at(-1)?.length ?? 0;
  }
  const head = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(fields.length), ...fields, ...infos];
  await writeFile(path, Buffer.concat([padded(Buffer.concat(head)), ...bodies]));
}

function field(key: string, type: number, value: Buffer): Buffer {
  return Buffer.concat([text(key), uint32(type), value]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function float(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function values(count: number, deviation: number, random: Random): Buffer {
  const data = new Float32Array(count);
  for (let i = 0; i < count; i += 1) data[i] = normal(random) * deviation;
  return Buffer.from(data.buffer);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}
