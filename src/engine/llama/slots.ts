/** What a sequence holds while no request runs on it. */
export interface IdleSlot {
  /** Tokens whose KV state it still has. */
  readonly tokens: readonly number[];
  /** Only requests with this salt may reuse them. null: nothing held. */
  readonly salt: string | null;
  /** Grows with every use; 0 = never used. */
  readonly lastUsed: number;
}

export interface SlotChoice<S> {
  readonly slot: S;
  /** Tokens of the prompt that the slot already holds and that need no evaluation; at most prompt − 1. */
  readonly reusedTokens: number;
}

/**
 * What a held token is worth against one that the prompt shares: reuse of a prefix erases what the slot holds behind
 * it, and about one conversation in four comes back for that. So a short shared beginning (a system prompt) does not
 * destroy another conversation while older slots are free.
 */
const ERASED_TOKEN_WORTH = 0.25;

/**
 * The free slot a prompt runs on: the one with the longest common prefix under the same salt when that outweighs what
 * reuse erases, else the least recently used. Never reuses across salts. null when none is free.
 */
export function chooseSlot<S extends IdleSlot>(
  slots: readonly S[],
  prompt: readonly number[],
  salt: string,
): SlotChoice<S> | null {
  let oldest: S | null = null;
  let best: S | null = null;
  let bestScore = 0;
  for (const slot of slots) {
    if (oldest === null || slot.lastUsed < oldest.lastUsed) oldest = slot;
    const reused = reusableTokens(slot, prompt, salt);
    const score = reused - ERASED_TOKEN_WORTH * (slot.tokens.length - reused);
    if (reused > 0 && score > bestScore) {
      best = slot;
      bestScore = score;
    }
  }
  const slot = best ?? oldest;
  return slot === null ? null : { slot, reusedTokens: reusableTokens(slot, prompt, salt) };
}

/** Common prefix under the same salt, at most prompt − 1: the last prompt token is evaluated to draw the first output. */
export function reusableTokens(slot: IdleSlot, prompt: readonly number[], salt: string): number {
  if (slot.salt !== salt) return 0;
  const longest = Math.min(slot.tokens.length, prompt.length - 1);
  let common = 0;
  while (common < longest && slot.tokens[common] === prompt[common]) common++;
  return common;
}
