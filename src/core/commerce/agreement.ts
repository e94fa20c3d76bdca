/** Of all versions the one that has to be accepted now: the latest that is valid already; null when none is. */
export function currentAgreement<A extends { readonly validFromMs: number }>(
  versions: readonly A[],
  nowMs: number,
): A | null {
  let current: A | null = null;
  for (const version of versions) {
    if (version.validFromMs > nowMs) continue;
    if (current === null || version.validFromMs > current.validFromMs) current = version;
  }
  return current;
}
