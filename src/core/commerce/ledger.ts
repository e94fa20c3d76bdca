/**
 * The ledger's rules. A transaction moves money between accounts: its entries sum to zero. Nothing is updated or
 * deleted; a mistake is corrected by another transaction. `wallet` is what the tenant has with us, `cash` what came from
 * outside (it mirrors it, so it is negative), `unearned` what was paid for time that has not passed, `revenue` what was
 * earned.
 */
export const ACCOUNTS = ['wallet', 'cash', 'unearned', 'revenue'] as const;
/** `prepaid`: a term was paid. `recognition`: its days passed. */
export const POSTING_KINDS = ['top_up', 'bill', 'prepaid', 'recognition', 'refund', 'correction'] as const;
export type PostingKind = (typeof POSTING_KINDS)[number];
export type Account = (typeof ACCOUNTS)[number];

export interface Entry {
  readonly account: Account;
  readonly amountMicros: bigint;
}

export interface Posting {
  readonly tenantId: string;
  readonly kind: PostingKind;
  /** A posting made twice under one key is made once. */
  readonly idempotencyKey: string;
  readonly memo: string;
  /** When it counts, which is not always when it is written. */
  readonly bookedAtMs: number;
  readonly entries: readonly Entry[];
}

/** Entries that move `amountMicros` ≥ 0 from one account to another. */
export function move(amountMicros: bigint, from: Account, to: Account): readonly Entry[] {
  if (amountMicros < 0n) throw new RangeError('money is moved forwards: swap the accounts');
  return [
    { account: from, amountMicros: -amountMicros },
    { account: to, amountMicros },
  ];
}

/** A transaction that creates or destroys money is a programmer's error. */
export function assertBalanced(entries: readonly Entry[]): void {
  const sum = entries.reduce((total, entry) => total + entry.amountMicros, 0n);
  if (entries.length < 2 || sum !== 0n)
    throw new RangeError(`${entries.length} entries that sum to ${sum}, not to zero`);
}
