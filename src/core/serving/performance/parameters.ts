import type { ModelShape } from './facts.ts';

/**
 * Parameters of a model by part, from its shape: matrices only, without norms, biases and vision towers (together
 * under 1 % of a language model). Source: the publishers' modelling code; DeepSeek-V2 paper for `mla`.
 */
export interface Parameters {
  /** All layers together. */
  readonly attention: number;
  /** Dense layers, shared experts and routers: read for every token. */
  readonly dense: number;
  /** One expert of every layer that has experts. */
  readonly expert: number;
  /** One embedding matrix. */
  readonly embedding: number;
  readonly total: number;
  /** Every weight a token is multiplied with: looking up an input embedding is no multiplication. */
  readonly active: number;
}

export function parametersOf(shape: ModelShape): Parameters {
  const { attention, feedForward, hiddenSize, kind, layers, tiedEmbeddings, vocabularySize } = shape;
  const { experts } = feedForward;
  const linearLayers = attention.linear?.layers ?? 0;
  const softmaxLayers = layers - linearLayers - (attention.skippedLayers ?? 0);
  const attentionAll = softmaxLayers * attentionOfLayer(shape) + linearLayers * linearAttentionOfLayer(shape);
  const matrices = feedForward.gated ? 3 : 2;
  const denseLayers = layers - (feedForward.skippedLayers ?? 0) - (experts?.layers ?? 0);
  const expert = experts
    ? experts.layers * matrices * (experts.latentSize ?? hiddenSize) * experts.intermediateSize
    : 0;
  const dense =
    denseLayers * matrices * hiddenSize * (feedForward.intermediateSize ?? 0) +
    (experts ? experts.layers * sharedOfLayer(shape, matrices) : 0);
  const embedding = vocabularySize * hiddenSize;
  return {
    attention: attentionAll,
    dense,
    expert,
    embedding,
    total:
      attentionAll +
      dense +
      (experts?.count ?? 0) * expert +
      (kind === 'encoder' || tiedEmbeddings ? 1 : 2) * embedding,
    active: attentionAll + dense + (experts?.activePerToken ?? 0) * expert + (kind === 'encoder' ? 0 : embedding),
  };
}

/** Shared experts, router, and the projections into and out of a compressed expert input. */
function sharedOfLayer({ feedForward: { experts }, hiddenSize }: ModelShape, matrices: number): number {
  if (!experts) return 0;
  const { count, intermediateSize, latentSize, shared, sharedIntermediateSize } = experts;
  const width = sharedIntermediateSize ?? shared * intermediateSize;
  return hiddenSize * (matrices * width + count + 2 * (latentSize ?? 0));
}

function attentionOfLayer({ attention, hiddenSize }: ModelShape): number {
  const { headDimension, heads, kvHeads, mla, outputGate, sparse } = attention;
  if (!mla) return hiddenSize * headDimension * (heads * (outputGate ? 3 : 2) + 2 * kvHeads);
  const { kvLoraRank, qLoraRank, ropeDimension, valueDimension } = mla;
  const queryWidth = heads * (headDimension + ropeDimension);
  const query = qLoraRank === null ? hiddenSize * queryWidth : qLoraRank * (hiddenSize + queryWidth);
  const keyValue = hiddenSize * (kvLoraRank + ropeDimension) + kvLoraRank * heads * (headDimension + valueDimension);
  const output = heads * valueDimension * hiddenSize;
  const indexer = sparse
    ? (qLoraRank ?? hiddenSize) * sparse.indexHeads * sparse.indexDimension +
      hiddenSize * (sparse.indexDimension + sparse.indexHeads)
    : 0;
  return query + keyValue + output + indexer;
}

/** Gated delta rule: projections in for query, key, value and gate, two scalars a head, a convolution, and out. */
function linearAttentionOfLayer({ attention, hiddenSize }: ModelShape): number {
  if (!attention.linear) return 0;
  const { convolutionWidth, keyDimension, keyHeads, valueDimension, valueHeads } = attention.linear;
  const keyWidth = keyHeads * keyDimension;
  const valueWidth = valueHeads * valueDimension;
  const projections = hiddenSize * (2 * keyWidth + 2 * valueWidth + 2 * valueHeads) + valueWidth * hiddenSize;
  return projections + (2 * keyWidth + valueWidth) * convolutionWidth;
}
