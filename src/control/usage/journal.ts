import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { type FileHandle, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { storageError } from '../../store/storage-error.ts';

export interface JournalLimits {
  /** Of all segments together, and of what waits for the disk; more is not taken. */
  readonly bytesMax: number;
  readonly segmentBytes: number;
  /** From a line to the fsync that covers it, disk's time aside. */
  readonly syncMs: number;
}

export const JOURNAL_LIMITS: JournalLimits = { bytesMax: 2 ** 30, segmentBytes: 4 * 2 ** 20, syncMs: 50 };

const WRITE_AT_ONCE_BYTES = 256 * 1024;
/** Of lines that wait for the disk. */
const MEMORY_BYTES_MAX = 64 * 2 ** 20;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 10_000;
const NAME = /^receipts-(\d{12})\.jsonl$/;

interface Segment {
  readonly path: string;
  readonly bytes: number;
}

/**
 * An append-only file of lines, in numbered segments: `append` returns at once, and within `syncMs` the line is on the
 * disk, many with one fsync. A segment is read only when it is sealed (nothing is added to it any more) and removed when
 * whoever reads it has stored its lines elsewhere. A new process seals what it finds, so that a kill -9 loses at most
 * the lines since the last fsync. A line may be in the journal twice (a write that failed half-way is repeated); readers
 * store by id. While the disk takes nothing, up to 64 MiB of lines wait in memory and are tried again.
 */
export class Journal {
  readonly #folder: string;
  readonly #limits: JournalLimits;
  readonly #failed: (error: unknown, waitMs: number) => void;
  readonly #sealed: Segment[] = [];
  readonly #stop = new AbortController();
  #sequence = 0;
  #file: FileHandle | null = null;
  #path = '';
  #fileBytes = 0;
  #sealedBytes = 0;
  #lines: string[] = [];
  #linesBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | null = null;
  #wantsSeal = false;

  /** Throws `config_invalid` or `disk_full` when the folder cannot be made or read. */
  constructor(
    folder: string,
    failed: (error: unknown, waitMs: number) => void,
    limits: JournalLimits = JOURNAL_LIMITS,
  ) {
    this.#folder = folder;
    this.#failed = failed;
    this.#limits = limits;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(folder).sort()) this.#find(name);
    } catch (error) {
      throw storageError(error);
    }
  }

  get bytes(): number {
    return this.#sealedBytes + this.#fileBytes + this.#linesBytes;
  }

  /** Lines that no sealed segment holds yet. */
  get #hasOpen(): boolean {
    return this.#fileBytes + this.#linesBytes > 0;
  }

  /** One line, without its end. False when the journal is full or closed: it is not taken. */
  append(line: string): boolean {
    if (this.#stop.signal.aborted || this.bytes + line.length > this.#limits.bytesMax) return false;
    if (this.#linesBytes + line.length > MEMORY_BYTES_MAX) return false;
    this.#lines.push(line);
    this.#linesBytes += line.length + 1;
    if (this.#linesBytes >= WRITE_AT_ONCE_BYTES) void this.sync();
    else this.#timer ??= setTimeout(() => void this.sync(), this.#limits.syncMs).unref();
    return true;
  }

  /** Resolves when every line appended before is on the disk (or the journal is stopped); with `seal`, to be read. */
  async sync(seal = false): Promise<void> {
    this.#wantsSeal ||= seal;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll();
    await this.#writing;
  }

  /** The oldest segment that nothing is added to any more; what is open is sealed when there is no other. */
  async oldest(): Promise<Segment | null> {
    if (this.#sealed.length === 0 && this.#hasOpen) await this.sync(true);
    return this.#sealed[0] ?? null;
  }

  /** Whole lines of a segment; the last may be torn by a crash and is then left out. */
  async read(segment: Segment): Promise<string[]> {
    const text = await readFile(segment.path, 'utf8');
    return text.split('\n').slice(0, -1);
  }

  async remove(segment: Segment): Promise<void> {
    await unlink(segment.path);
    this.#sealed.splice(this.#sealed.indexOf(segment), 1);
    this.#sealedBytes -= segment.bytes;
  }

  /** Takes nothing more; what cannot be written now is tried once only. */
  stop(): void {
    this.#stop.abort();
  }

  /** Stops, and says how many lines could not be written. Segments stay for the next process. */
  async close(): Promise<number> {
    this.stop();
    await this.sync(true);
    return this.#lines.length;
  }

  #find(name: string): void {
    const sequence = NAME.exec(name)?.[1];
    if (sequence === undefined) return;
    const path = join(this.#folder, name);
    const bytes = statSync(path).size;
    this.#sequence = Math.max(this.#sequence, Number(sequence));
    this.#sealed.push({ path, bytes });
    this.#sealedBytes += bytes;
  }

  async #writeAll(): Promise<void> {
    // Not before the present turn is over: one write for all that it appends.
    await Promise.resolve();
    for (let failures = 0; this.#lines.length > 0; ) {
      try {
        await this.#writeOnce();
        failures = 0;
      } catch (error) {
        const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures++);
        this.#failed(storageError(error), waitMs);
        // It may end in a torn line: what follows goes into the next.
        await this.#seal().catch(() => {});
        if (this.#stop.signal.aborted) break;
        await sleep(waitMs, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
      }
    }
    if (this.#wantsSeal) {
      this.#wantsSeal = false;
      await this.#seal().catch(() => {});
    }
    this.#writing = null;
  }

  async #writeOnce(): Promise<void> {
    const count = this.#lines.length;
    const bytes = Buffer.from(`${this.#lines.join('\n')}\n`);
    const file = this.#file ?? (await this.#open());
    await file.appendFile(bytes);
    await file.datasync();
    this.#fileBytes += bytes.length;
    // Those that came meanwhile stay for the next turn.
    for (const line of this.#lines.splice(0, count)) this.#linesBytes -= line.length + 1;
    if (this.#fileBytes >= this.#limits.segmentBytes) await this.#seal();
  }

  async #open(): Promise<FileHandle> {
    this.#sequence += 1;
    this.#path = join(this.#folder, `receipts-${String(this.#sequence).padStart(12, '0')}.jsonl`);
    this.#file = await open(this.#path, 'a', 0o600);
    return this.#file;
  }

  async #seal(): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    const segment = { path: this.#path, bytes: this.#fileBytes };
    this.#file = null;
    this.#fileBytes = 0;
    this.#sealed.push(segment);
    this.#sealedBytes += segment.bytes;
    await file.close();
  }
}
