import type { Architecture } from '../catalog/schema.ts';
import { Faulty } from './faulty.ts';
import type { GgufHead } from './gguf.ts';
import type { PeftConfig } from './peft.ts';

export interface AdapterFacts {
  readonly rank: number;
  readonly alpha: number;
}

/** One adapted matrix of a layer: A is rank × inputs, B is outputs × rank. */
interface Pair {
  readonly name: string;
  readonly layer: number;
  readonly matrix: string;
  a: { readonly inputs: number; readonly rank: number } | null;
  b: { readonly outputs: number; readonly rank: number } | null;
}

const RANK_MAX = 1_024;
const GGUF_NAME = /^blk\.(\d+)\.(\w+)\.weight\.lora_([ab])$/;
const PEFT_NAME = /\.layers\.(\d+)\.(?:\w+\.)*?(\w+)\.lora_([AB])(?:\.\w+)?\.weight$/;

/** Rank and alpha of a LoRA adapter in a GGUF file. Throws `Faulty` with what does not fit the base model. */
export function adapterOfGguf({ metadata, tensors }: GgufHead, base: Architecture): AdapterFacts {
  if (metadata.get('general.type') !== 'adapter') {
    throw new Faulty(`its general.type is ${metadata.get('general.type') ?? 'not said'}, not adapter`);
  }
  if (metadata.get('adapter.type') !== 'lora') {
    throw new Faulty(`its adapter.type is ${metadata.get('adapter.type') ?? 'not said'}, not lora`);
  }
  const alpha = metadata.get('adapter.lora.alpha');
  if (typeof alpha !== 'number' || !(alpha > 0)) throw new Faulty('adapter.lora.alpha has to be above 0');
  const turned = new Map([...tensors].map(([name, shape]) => [name, shape.toReversed()]));
  return { alpha, rank: rankOf(pairsOf(turned, GGUF_NAME), base) };
}

/** As `adapterOfGguf`, of PEFT's two files; its config and its matrices have to agree on the rank. */
export function adapterOfPeft(
  config: PeftConfig,
  tensors: ReadonlyMap<string, readonly number[]>,
  base: Architecture,
): AdapterFacts {
  const rank = rankOf(pairsOf(tensors, PEFT_NAME), base);
  if (rank !== config.rank) throw new Faulty(`adapter_config.json says rank ${config.rank}, its matrices have ${rank}`);
  return { rank, alpha: config.alpha };
}

/** Shapes: outputs first. */
function pairsOf(tensors: ReadonlyMap<string, readonly number[]>, pattern: RegExp): readonly Pair[] {
  const pairs = new Map<string, Pair>();
  for (const [tensor, shape] of tensors) {
    const [, layer = '', matrix = '', side = ''] = pattern.exec(tensor) ?? [];
    const [rows, columns, more] = shape;
    if (matrix === '' || rows === undefined || columns === undefined || more !== undefined) {
      throw new Faulty(`tensor ${tensor.slice(0, 100)} is no matrix of a LoRA adapter`);
    }
    const name = `${layer}.${matrix}`;
    const pair = pairs.get(name) ?? {
      name: `${matrix} of layer ${layer}`,
      layer: Number(layer),
      matrix,
      a: null,
      b: null,
    };
    pairs.set(name, pair);
    if (side.toLowerCase() === 'a') pair.a = { rank: rows, inputs: columns };
    else pair.b = { outputs: rows, rank: columns };
  }
  if (pairs.size === 0) throw new Faulty('it adapts nothing');
  return [...pairs.values()];
}

function rankOf(pairs: readonly Pair[], base: Architecture): number {
  let rank = 0;
  for (const { a, b, layer, matrix, name } of pairs) {
    if (a === null || b === null) throw new Faulty(`${name} has only one of its two matrices`);
    if (a.rank !== b.rank) throw new Faulty(`${name} has rank ${a.rank} in A and ${b.rank} in B`);
    if (a.rank < 1 || a.rank > RANK_MAX) throw new Faulty(`${name} has rank ${a.rank}; 1 to ${RANK_MAX} are taken`);
    if (layer >= base.layers) throw new Faulty(`it adapts layer ${layer}; the base model has ${base.layers}`);
    const wanted = shapeOf(matrix, base);
    if (wanted === null) throw new Faulty(`${name} is no matrix that adapters of this base model may change`);
    if (a.inputs !== wanted.inputs || b.outputs !== wanted.outputs) {
      const found = `${a.inputs} × ${b.outputs}`;
      throw new Faulty(`${name} is made for ${found}; the base model's is ${wanted.inputs} × ${wanted.outputs}`);
    }
    rank = Math.max(rank, a.rank);
  }
  return rank;
}

/** Of a linear layer by its name in GGUF or PEFT; null for what is not one, or not one of its shape for all layers. */
function shapeOf(matrix: string, { attention, feedForward, hiddenSize }: Architecture) {
  const { headDimension, heads, kvHeads, outputGate } = attention;
  const queries = heads * headDimension;
  const wide = feedForward.intermediateSize;
  const linear = (inputs: number, outputs: number) => ({ inputs, outputs });
  if (/^(attn_q|q_proj)$/.test(matrix)) return linear(hiddenSize, queries * (outputGate ? 2 : 1));
  if (/^(attn_k|attn_v|k_proj|v_proj)$/.test(matrix)) return linear(hiddenSize, kvHeads * headDimension);
  if (/^(attn_output|o_proj)$/.test(matrix)) return linear(queries, hiddenSize);
  if (wide === null) return null;
  if (/^(ffn_gate|ffn_up|gate_proj|up_proj)$/.test(matrix)) return linear(hiddenSize, wide);
  return /^(ffn_down|down_proj)$/.test(matrix) ? linear(wide, hiddenSize) : null;
}
