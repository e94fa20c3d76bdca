/** One request of a trace, whatever file it came from: when it arrives and how long it is. */
export interface TraceRequest {
  /** Since the trace's first request. */
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/**
 * Azure's 2023 inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, times with 100 ns digits. Rows come out in
 * order of time. Throws on a row that is not of this form, naming its line.
 */
export function parseAzureTrace(csv: string): TraceRequest[] {
  const rows: TraceRequest[] = [];
  for (const [index, line] of csv.split(/\r?\n/).entries()) {
    if (index === 0 || line === '') continue;
    const [time = '', prompt = '', output = ''] = line.split(',');
    const atMs = Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`);
    const promptTokens = Number(prompt);
    const outputTokens = Number(output);
    if (!Number.isFinite(atMs) || !Number.isInteger(promptTokens) || !Number.isInteger(outputTokens)) {
      throw new Error(`line ${index + 1} is not TIMESTAMP,ContextTokens,GeneratedTokens: ${line.slice(0, 80)}`);
    }
    rows.push({ atMs, promptTokens, outputTokens });
  }
  rows.sort((a, b) => a.atMs - b.atMs);
  const startMs = rows[0]?.atMs ?? 0;
  return rows.map((row) => ({ ...row, atMs: row.atMs - startMs }));
}

/** mulberry32: a small seeded generator, uniform on [0, 1). The same seed gives the same workload anywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const WORDS = (
  'the of and to in is that for it as was with be by on not he this are or his from at which but have an they you were ' +
  'their one all we can her has there been if more when will would who so no out up into them then some could time these ' +
  'two may other than new people over first such any my work year made where system after most world day house water'
).split(' ');

/** Text of about `tokens` tokens: common English words are one token each in most vocabularies. */
export function textOfTokens(tokens: number, random: () => number): string {
  const words: string[] = [];
  for (let index = 0; index < tokens; index += 1) words.push(WORDS[Math.floor(random() * WORDS.length)] as string);
  return words.join(' ');
}
