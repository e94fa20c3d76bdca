import { Faulty } from './faulty.ts';

/**
 * The head of a GGUF file (versions 2 and 3): metadata and tensor shapes, without the data. Written by strangers, so every
 * length is checked before it is used. Source of the layout: ggml's GGUF specification.
 */
export interface GgufHead {
  readonly metadata: ReadonlyMap<string, string | number | boolean>;
  /** By tensor name, dimensions as GGUF lists them: inputs first. */
  readonly tensors: ReadonlyMap<string, readonly number[]>;
}

/** Enough for the tokenizer of a fully fine-tuned model. */
export const GGUF_HEAD_BYTES_MAX = 64 * 2 ** 20;
const ENTRIES_MAX = 100_000;
const ARRAY_MAX = 10_000_000;
const DIMENSIONS_MAX = 4;
const TYPES = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const;
type Type = (typeof TYPES)[number];
const SIZES: Readonly<Partial<Record<Type, number>>> = {
  ...{ u8: 1, i8: 1, bool: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, u64: 8, i64: 8, f64: 8 },
};

/** Reads the beginning of a file. Throws `Faulty` that says what is wrong with it. */
export function readGguf(bytes: Buffer): GgufHead {
  const reader = new Reader(bytes);
  if (bytes.length < 24 || bytes.toString('latin1', 0, 4) !== 'GGUF') throw new Faulty('it is no GGUF file');
  reader.skip(4);
  const version = reader.number('u32');
  if (version !== 2 && version !== 3) throw new Faulty(`its GGUF version is ${version}; 2 and 3 are read`);
  const tensorCount = reader.count(ENTRIES_MAX, 'tensors');
  const fieldCount = reader.count(ENTRIES_MAX, 'metadata fields');
  const metadata = new Map<string, string | number | boolean>();
  for (let i = 0; i < fieldCount; i += 1) {
    const key = reader.text();
    const value = reader.value();
    if (value !== null) metadata.set(key, value);
  }
  const tensors = new Map<string, readonly number[]>();
  for (let i = 0; i < tensorCount; i += 1) {
    const name = reader.text();
    const dimensions = reader.number('u32');
    if (dimensions > DIMENSIONS_MAX) throw new Faulty(`tensor ${name.slice(0, 100)} has ${dimensions} dimensions`);
    const shape = Array.from({ length: dimensions }, () => reader.number('u64'));
    reader.skip(4 + 8);
    tensors.set(name, shape);
  }
  return { metadata, tensors };
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(length: number): void {
    if (this.#at + length > this.#bytes.length) throw new Faulty('its header is cut short');
    this.#at += length;
  }

  number(type: Type): number {
    const at = this.#at;
    this.skip(SIZES[type] as number);
    switch (type) {
      case 'u8':
      case 'bool':
        return this.#bytes.readUInt8(at);
      case 'i8':
        return this.#bytes.readInt8(at);
      case 'u16':
        return this.#bytes.readUInt16LE(at);
      case 'i16':
        return this.#bytes.readInt16LE(at);
      case 'u32':
        return this.#bytes.readUInt32LE(at);
      case 'i32':
        return this.#bytes.readInt32LE(at);
      case 'f32':
        return this.#bytes.readFloatLE(at);
      case 'f64':
        return this.#bytes.readDoubleLE(at);
      case 'i64':
        return Number(this.#bytes.readBigInt64LE(at));
      default:
        return Number(this.#bytes.readBigUInt64LE(at));
    }
  }

  count(max: number, what: string): number {
    const count = this.number('u64');
    if (count > max) throw new Faulty(`it claims ${count} ${what}`);
    return count;
  }

  text(): string {
    const length = this.count(this.#bytes.length, 'bytes of text');
    const at = this.#at;
    this.skip(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** null for lists, which nobody here needs. */
  value(): string | number | boolean | null {
    const type = this.#type();
    if (type === 'array') return this.#skipArray();
    return type === 'string' ? this.text() : type === 'bool' ? this.number(type) !== 0 : this.number(type);
  }

  #type(): Type {
    const code = this.number('u32');
    const type = TYPES[code];
    if (type === undefined) throw new Faulty(`it has a metadata field of unknown type ${code}`);
    return type;
  }

  #skipArray(): null {
    const type = this.#type();
    if (type === 'array') throw new Faulty('it has a list of lists in its metadata');
    const length = this.count(ARRAY_MAX, 'entries of a list');
    if (type !== 'string') this.skip(length * (SIZES[type] as number));
    else for (let i = 0; i < length; i += 1) this.text();
    return null;
  }
}
