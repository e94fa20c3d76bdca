/** Values of the last `spanMs`, with their mean and maximum; called with times that never go back. */
export class TimeWindow {
  readonly #spanMs: number;
  readonly #entries: { readonly atMs: number; readonly value: number }[] = [];

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  add(atMs: number, value: number): void {
    this.#entries.push({ atMs, value });
    while (this.#entries[0]!.atMs <= atMs - this.#spanMs) this.#entries.shift();
  }

  mean(): number {
    if (this.#entries.length === 0) return 0;
    return this.#entries.reduce((sum, { value }) => sum + value, 0) / this.#entries.length;
  }

  max(): number {
    return this.#entries.reduce((max, { value }) => Math.max(max, value), 0);
  }
}
