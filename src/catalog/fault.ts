/** One thing wrong in a catalogue: where it is, and what to do. */
export interface Fault {
  readonly file: string;
  /** Inside the file, as `models[2].architecture.layers`; empty = the file itself. */
  readonly path: string;
  readonly message: string;
}

/** An item as found in a file. `value` is null when it is not valid by itself; its fault is noted already. */
export interface Entry<T> {
  readonly id: string;
  readonly file: string;
  readonly path: string;
  readonly value: T | null;
}
