import { writeFile } from 'node:fs/promises';

/** A matrix that the adapter changes: `blk.0.attn_q.weight`, inputs × outputs. */
export interface AdaptedMatrix {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

const STRING = 8;
const FLOAT32 = 6;
const ALIGNMENT = 32;

/**
 * A LoRA adapter of random values in a GGUF file (version 3): what it computes is of no use, what it costs is what any
 * adapter of that rank on those matrices costs. Source of the layout: ggml's GGUF specification.
 */
export async function writeRandomAdapter(
  path: string,
  matrices: readonly AdaptedMatrix[],
  rank: number,
): Promise<void> {
  const tensors = matrices.flatMap(({ inputs, name, outputs }) => [
    { name: `${name}.lora_a`, shape: [inputs, rank] as const },
    { name: `${name}.lora_b`, shape: [rank, outputs] as const },
  ]);
  const fields = [
    field('general.architecture', STRING, text('llama')),
    field('general.type', STRING, text('adapter')),
    field('adapter.type', STRING, text('lora')),
    field('adapter.lora.alpha', FLOAT32, float(rank)),
  ];
  const infos: Buffer[] = [];
  const bodies: Buffer[] = [];
  let offset = 0;
  for (const { name, shape } of tensors) {
    infos.push(text(name), uint32(2), uint64(shape[0]), uint64(shape[1]), uint32(0), uint64(offset));
    const body = values(shape[0] * shape[1]);
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

/** Small, so that the model stays a model; none denormal, which would be slow. */
function values(count: number): Buffer {
  const data = new Float32Array(count);
  for (let i = 0; i < count; i += 1) data[i] = (((i * 2_654_435_761) % 1_000) / 1_000 - 0.5) * 0.002 + 1e-6;
  return Buffer.from(data.buffer);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}
