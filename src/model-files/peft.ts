import { z } from 'zod';
import { Faulty } from './faulty.ts';

/** Of a PEFT adapter, what its config says that matters here. */
export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
}

const Config = z.object({ peft_type: z.string(), r: z.int().positive(), lora_alpha: z.number().positive() });
const Tensor = z.object({ shape: z.array(z.int().nonnegative()).max(4) });
export const SAFETENSORS_HEAD_BYTES_MAX = 16 * 2 ** 20;

/** Reads `adapter_config.json`. Throws `Faulty`. */
export function readPeftConfig(text: string): PeftConfig {
  const result = Config.safeParse(parsed(text, 'adapter_config.json'));
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new Faulty(`adapter_config.json: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { lora_alpha: alpha, peft_type: type, r: rank } = result.data;
  if (type !== 'LORA') throw new Faulty(`adapter_config.json: peft_type is ${type.slice(0, 40)}, not LORA`);
  return { rank, alpha };
}

/**
 * The shapes in a safetensors file's head, by tensor name: outputs first, as PyTorch lists them. `bytes` is the beginning
 * of the file, which is `fileBytes` long. Throws `Faulty`.
 */
export function readSafetensors(bytes: Buffer, fileBytes: number): ReadonlyMap<string, readonly number[]> {
  const length = bytes.length < 8 ? Number.POSITIVE_INFINITY : Number(bytes.readBigUInt64LE(0));
  if (length > SAFETENSORS_HEAD_BYTES_MAX || length + 8 > fileBytes) throw new Faulty('it is no safetensors file');
  if (length + 8 > bytes.length) throw new Faulty('its header is cut short');
  const head = z.record(z.string(), z.unknown()).safeParse(parsed(bytes.toString('utf8', 8, 8 + length), 'its header'));
  if (!head.success) throw new Faulty('its header is no JSON object');
  const tensors = new Map<string, readonly number[]>();
  for (const [name, value] of Object.entries(head.data)) {
    if (name === '__metadata__') continue;
    const tensor = Tensor.safeParse(value);
    if (!tensor.success) throw new Faulty(`tensor ${name.slice(0, 100)} has no shape`);
    tensors.set(name, tensor.data.shape);
  }
  return tensors;
}

function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Faulty(`${what} is no JSON`);
  }
}
