import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import type { WholeLine } from './wire.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface Head {
  readonly cubitSnapshot: 1;
  readonly savedAtMs: number;
  /** Of what is encrypted, base64. */
  readonly nonce: string;
  readonly tag: string;
}

export interface KeptSnapshot {
  readonly line: WholeLine;
  readonly savedAtMs: number;
}

/**
 * The last snapshot on this machine's disk, so that a gateway starts while the control plane is down. Of API keys it holds
 * hashes only, but adopted servers' own keys are in it: so it is encrypted with a key made from the gateway's token, which
 * is also what tells a torn or changed file. Written aside and moved: there is an old one or a new one, never half of one.
 */
export class SnapshotFile {
  readonly #path: string;
  readonly #key: Buffer;
  #saving: Promise<void> | null = null;
  #next: (() => WholeLine | null) | null = null;

  constructor(path: string, token: string) {
    this.#path = path;
    this.#key = Buffer.from(hkdfSync('sha256', token, '', 'cubit snapshot file', 32));
  }

  /** What an earlier run kept; null when there is none. Throws when there is one that this token does not open. */
  async read(): Promise<KeptSnapshot | null> {
    const file = await readFile(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (file === null) return null;
    const end = file.indexOf('\n');
    const headText = file.subarray(0, end);
    const head = JSON.parse(headText.toString('utf8')) as Head;
    if (head.cubitSnapshot !== 1) throw new Error('It is none of this version.');
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv(CIPHER, this.#key, Buffer.from(head.nonce, 'base64'), options);
    decipher.setAAD(Buffer.from(String(head.savedAtMs)));
    decipher.setAuthTag(Buffer.from(head.tag, 'base64'));
    const text = Buffer.concat([decipher.update(file.subarray(end + 1)), decipher.final()]).toString('utf8');
    return { line: JSON.parse(text) as WholeLine, savedAtMs: head.savedAtMs };
  }

  /** Keeps the newest; any number of calls while one is written make one more. Rejects when the disk does not take it. */
  save(line: () => WholeLine | null, now: () => number): Promise<void> {
    this.#next = line;
    this.#saving ??= this.#saveAll(now).finally(() => {
      this.#saving = null;
    });
    return this.#saving;
  }

  async #saveAll(now: () => number): Promise<void> {
    for (let next = this.#next; next !== null; next = this.#next) {
      this.#next = null;
      const line = next();
      if (line !== null) await this.#write(line, now());
    }
  }

  async #write(line: WholeLine, savedAtMs: number): Promise<void> {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(String(savedAtMs)));
    const bytes = Buffer.concat([cipher.update(JSON.stringify(line), 'utf8'), cipher.final()]);
    const tag = cipher.getAuthTag().toString('base64');
    const head: Head = { cubitSnapshot: 1, savedAtMs, nonce: nonce.toString('base64'), tag };
    const aside = `${this.#path}.${process.pid}`;
    const file = await open(aside, 'w', 0o600);
    await writeThrough(file, [Buffer.from(`${JSON.stringify(head)}\n`), bytes]);
    await rename(aside, this.#path);
  }
}

async function writeThrough(file: FileHandle, parts: readonly Buffer[]): Promise<void> {
  try {
    await file.writeFile(Buffer.concat(parts));
    await file.datasync();
  } finally {
    await file.close();
  }
}
