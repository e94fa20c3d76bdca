/** Replicas that are looked at for one request, at most: choosing costs the same with 100 replicas and with 10,000. */
const LOOKED_AT_MAX = 64;
/** Of them, those that take turns; the rest are always the same for the same beginning of a prompt. */
const TURNING = 16;

/**
 * The replicas that a request may choose from. Beyond 64 of them: 48 in a row from where the prompt's first block points,
 * so that prompts that begin alike meet caches that know them, and 16 that take turns, so that a beginning that all
 * prompts share does not keep the others idle.
 */
export function candidatesOf<T>(ready: readonly T[], firstBlock: number | undefined, turn: number): readonly T[] {
  const count = ready.length;
  if (count <= LOOKED_AT_MAX) return ready;
  const fixed = LOOKED_AT_MAX - TURNING;
  const start = (firstBlock ?? turn * fixed) % count;
  const candidates: T[] = [];
  for (let step = 0; step < fixed; step += 1) candidates.push(ready[(start + step) % count] as T);
  for (let step = 0; step < TURNING; step += 1) {
    const at = (turn * TURNING + step) % count;
    if ((at - start + count) % count >= fixed) candidates.push(ready[at] as T);
  }
  return candidates;
}
