import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getLlama, type LlamaContext, LlamaLogLevel, readGgufFileInfo, type Token } from 'node-llama-cpp';
import { DEFAULT_MODEL_ID } from '../src/catalog/default.ts';
import { loadCatalog } from '../src/catalog/load.ts';
import { weightsWithProgress } from '../src/cli/weights.ts';
import { loadConfig } from '../src/config.ts';
import { type AdaptedMatrix, writeAdapter } from '../src/model-files/write-adapter.ts';

/**
 * `node scripts/measure-lora.ts [rank…]`: how much more work the embedded engine does with a LoRA adapter on all linear
 * layers, as the template's `lora` wants it. CPU time of one thread, with and without in turns, smallest of the rounds:
 * other programs on the machine lengthen times, never shorten them.
 */
const ROUNDS = 8;
const PROMPT_TOKENS = 96;
const OUTPUT_TOKENS = 4;
const SEQUENCES = 8;

const ranks = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [8, 16, 64];
const config = loadConfig({});
const weights = (await loadCatalog(config.catalogDir)).models.get(DEFAULT_MODEL_ID)?.weights;
if (weights === undefined) throw new Error(`the catalogue has no weights of ${DEFAULT_MODEL_ID}`);
const modelPath = await weightsWithProgress(weights, config.cacheDir, config.weights);
const folder = await mkdtemp(join(tmpdir(), 'cubit-lora-'));
try {
  console.log(JSON.stringify(await measure(modelPath, folder), null, 2));
} finally {
  await rm(folder, { recursive: true });
}

async function measure(path: string, adapters: string) {
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });
  const model = await llama.loadModel({ modelPath: path });
  const matrices = await matricesOf(path);
  const options = { contextSize: PROMPT_TOKENS + OUTPUT_TOKENS + 8, sequences: SEQUENCES, threads: 1 };
  const contexts: { rank: number; context: LlamaContext; prefillUs: number; decodeUs: number }[] = [];
  for (const rank of [0, ...ranks]) {
    const filePath = join(adapters, `rank-${rank}.gguf`);
    if (rank > 0) await writeAdapter(filePath, matrices, { rank, alpha: rank, seed: rank, scale: 0.001 });
    const lora = rank > 0 ? { lora: { adapters: [{ filePath, scale: 1 }] } } : {};
    const context = await model.createContext({ ...options, ...lora });
    contexts.push({ rank, context, prefillUs: Number.POSITIVE_INFINITY, decodeUs: Number.POSITIVE_INFINITY });
  }
  const prompt = model.tokenize('the quick brown fox jumps over the lazy dog '.repeat(60)).slice(0, PROMPT_TOKENS);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const one of contexts) {
      const { decodeUs, prefillUs } = await run(one.context, prompt);
      one.prefillUs = Math.min(one.prefillUs, prefillUs);
      one.decodeUs = Math.min(one.decodeUs, decodeUs);
    }
    process.stderr.write(`round ${round + 1} of ${ROUNDS}\n`);
  }
  const [base, ...adapted] = contexts;
  if (base === undefined) throw new Error('nothing was measured');
  return adapted.map(({ decodeUs, prefillUs, rank }) => ({
    rank,
    prefill: Number((prefillUs / base.prefillUs).toFixed(3)),
    decode: Number((decodeUs / base.decodeUs).toFixed(3)),
  }));
}

/** All linear layers of the model's blocks. */
async function matricesOf(path: string): Promise<AdaptedMatrix[]> {
  const { fullTensorInfo, tensorInfo } = await readGgufFileInfo(path);
  return (fullTensorInfo ?? tensorInfo ?? []).flatMap(({ dimensions, name }) => {
    const [inputs, outputs] = dimensions.map(Number);
    const linear = /^blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight$/.test(name);
    return linear && inputs !== undefined && outputs !== undefined ? [{ name, inputs, outputs }] : [];
  });
}

/** CPU time of one prompt alone, per token, and of steps in which all sequences decode, per token. */
async function run(context: LlamaContext, prompt: readonly Token[]) {
  const sequences = Array.from({ length: SEQUENCES }, () => context.getSequence());
  const spentUs = async (work: () => Promise<unknown>) => {
    const from = process.cpuUsage();
    await work();
    const { system, user } = process.cpuUsage(from);
    return system + user;
  };
  const [first] = sequences;
  const prefillUs = await spentUs(async () => first?.evaluateWithoutGeneratingNewTokens([...prompt]));
  const short = prompt.slice(0, 8);
  const drawn = sequences.map((sequence, index) => sequence.evaluate([...short, short[index % 8] as Token]));
  const step = () => Promise.all(drawn.map((tokens) => tokens.next()));
  await step();
  const decodeUs = await spentUs(async () => {
    for (let token = 0; token < OUTPUT_TOKENS; token += 1) await step();
  });
  await Promise.all(drawn.map((tokens) => tokens.return()));
  for (const sequence of sequences) sequence.dispose();
  return { prefillUs: prefillUs / prompt.length, decodeUs: decodeUs / OUTPUT_TOKENS / SEQUENCES };
}
