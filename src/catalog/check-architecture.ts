import type { Architecture } from './schema.ts';

type Found = readonly [path: string, message: string];

/** Ways in which one architecture contradicts itself. */
export function architectureFaults(architecture: Architecture): Found[] {
  const { parametersActive, parametersTotal } = architecture;
  const found: Found[] = [...attentionFaults(architecture), ...feedForwardFaults(architecture)];
  if (parametersActive > parametersTotal) {
    found.push(['parametersActive', `is more than parametersTotal ${parametersTotal}; correct one`]);
  }
  if (!architecture.feedForward.experts && parametersActive !== parametersTotal) {
    found.push(['parametersActive', `must equal parametersTotal ${parametersTotal} without experts`]);
  }
  return found;
}

function attentionFaults({ attention, layers }: Architecture): Found[] {
  const { heads, kind, kvHeads, linear, mla, skippedLayers, slidingWindow } = attention;
  const found: Found[] = [];
  const kinds = kvHeads === heads ? ['mha', 'mla'] : kvHeads === 1 ? ['mqa'] : ['gqa'];
  if (!kinds.includes(kind)) {
    found.push(['attention.kind', `${kind} does not fit ${kvHeads} KV heads of ${heads}; it is ${kinds.join(' or ')}`]);
  }
  if (heads % kvHeads !== 0) found.push(['attention.kvHeads', `must divide the ${heads} heads`]);
  if ((kind === 'mla') !== (mla !== undefined)) found.push(['attention.mla', 'goes with kind mla and only with it']);
  if ((slidingWindow?.layers ?? 0) + (linear?.layers ?? 0) + (skippedLayers ?? 0) > layers) {
    found.push(['attention', `has more windowed, linear and skipped layers than the model's ${layers}`]);
  }
  return found;
}

function feedForwardFaults({ feedForward, layers }: Architecture): Found[] {
  const { experts, intermediateSize } = feedForward;
  const found: Found[] = [];
  const dense = layers - (experts?.layers ?? 0) - (feedForward.skippedLayers ?? 0);
  if (dense < 0)
    found.push(['feedForward.experts.layers', `with skipped layers, is more than the model's ${layers} layers`]);
  if (dense > 0 !== (intermediateSize !== null)) {
    found.push([
      'feedForward.intermediateSize',
      `is the size of dense layers: ${dense > 0 ? 'give it' : 'say null, there are none'}`,
    ]);
  }
  if (experts && experts.activePerToken > experts.count) {
    found.push(['feedForward.experts.activePerToken', `is more than the ${experts.count} experts`]);
  }
  return found;
}
