import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, realpath, rm, stat } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import type { Architecture } from '../catalog/schema.ts';
import { CubitError } from '../core/errors.ts';
import { type AdapterFacts, adapterOfGguf, adapterOfPeft } from './adapter.ts';
import type { Download } from './download.ts';
import { Faulty, tooLarge } from './faulty.ts';
import { checkFullModel } from './full.ts';
import { GGUF_HEAD_BYTES_MAX, readGguf } from './gguf.ts';
import { readPeftConfig, readSafetensors, SAFETENSORS_HEAD_BYTES_MAX } from './peft.ts';

export interface ModelFileSettings {
  /** Where downloads are kept. */
  readonly folder: string;
  /** Folders whose files tenants may register by path; empty: none. */
  readonly allowedFolders: readonly string[];
  /** Of one file, at most. */
  readonly bytesMax: number;
  readonly download: Download;
}

export interface WantedModelFile {
  readonly kind: 'lora' | 'full';
  /** An https URL of a GGUF file, or a path: of a GGUF file, or of a folder in PEFT's layout. */
  readonly source: string;
  /** Needed for a URL; checked wherever it is given. */
  readonly sha256: string | null;
  readonly base: Architecture;
}

export interface ModelFile {
  readonly format: 'gguf' | 'peft';
  /** Where it is on this machine. */
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Of an adapter. */
  readonly adapter: AdapterFacts | null;
}

const CONFIG_BYTES_MAX = 1024 * 1024;
const PEFT_WEIGHTS = 'adapter_model.safetensors';

/** Takes the files of tenants' own models in: fetched or found, checked against the base they were made for. */
export class ModelFiles {
  readonly #settings: ModelFileSettings;

  constructor(settings: ModelFileSettings) {
    this.#settings = settings;
  }

  /** Throws `invalid_request` that says what is wrong with the file, `body_too_large`, `not_found`, `disk_full`. */
  async take(wanted: WantedModelFile): Promise<ModelFile> {
    try {
      return await this.#inspect(wanted, await this.#locate(wanted));
    } catch (error) {
      if (!(error instanceof Faulty)) throw error;
      throw invalid(`This file cannot be used: ${error.message}.`);
    }
  }

  async #locate({ sha256, source }: WantedModelFile): Promise<string> {
    if (!/^[a-z][a-z0-9+.-]*:/i.test(source)) return this.#allowed(source);
    if (!source.startsWith('https://')) throw invalid('Models come by https:// or from a folder of this platform.');
    if (sha256 === null) throw invalid('Say the sha256 of what the URL leads to.', 'sha256');
    await mkdir(this.#settings.folder, { recursive: true, mode: 0o700 });
    const path = join(this.#settings.folder, `${sha256}.gguf`);
    if ((await stat(path).catch(() => null)) !== null) return path;
    await this.#settings.download({ url: source, path, sha256, bytesMax: this.#settings.bytesMax });
    return path;
  }

  /** Links are followed before the folder is checked. */
  async #allowed(source: string): Promise<string> {
    const { allowedFolders } = this.#settings;
    if (allowedFolders.length === 0) {
      throw invalid('This platform takes models by https:// only (its operator sets modelFolders to take paths).');
    }
    if (!isAbsolute(source) || source.includes('\0')) throw invalid('A path of a model has to be absolute.');
    const path = await realpath(source).catch(() => null);
    const folders = await Promise.all(allowedFolders.map((folder) => realpath(folder).catch(() => null)));
    const inside = path !== null && folders.some((folder) => folder !== null && path.startsWith(folder + sep));
    // Whether a file exists elsewhere on this machine is not for tenants to find out.
    if (!inside) throw invalid('There is no such file in the folders that this platform takes models from.');
    return path as string;
  }

  async #inspect({ base, kind, sha256, source }: WantedModelFile, path: string): Promise<ModelFile> {
    const isFolder = (await stat(path)).isDirectory();
    const file = isFolder ? join(path, PEFT_WEIGHTS) : path;
    const { size: bytes } = await peftWeights(file);
    if (bytes > this.#settings.bytesMax) throw tooLarge(this.#settings.bytesMax);
    if (isFolder && kind === 'full') throw new Faulty('a fully fine-tuned model has to be one GGUF file');
    try {
      const found = isFolder ? await peftOf(path, file, bytes, base) : await ggufOf(file, kind, base);
      const hash = source.startsWith('https://') && sha256 !== null ? sha256 : await hashOf(file);
      if (sha256 !== null && sha256 !== hash) throw new Faulty(`its sha256 is ${hash}`);
      return { format: isFolder ? 'peft' : 'gguf', path, sha256: hash, bytes, adapter: found };
    } catch (error) {
      if (path.startsWith(this.#settings.folder + sep)) await rm(path, { force: true });
      throw error;
    }
  }
}

/**
 * Rank and alpha of an adapter of this machine's operator: a GGUF file, or a folder in PEFT's layout. Throws `not_found`,
 * `invalid_request` that says what is wrong with it.
 */
export async function adapterAt(path: string, base: Architecture): Promise<AdapterFacts> {
  const found = await stat(path).catch(() => null);
  if (found === null) throw new CubitError('not_found', `There is no file ${path}.`);
  try {
    const file = found.isDirectory() ? join(path, PEFT_WEIGHTS) : path;
    if (!found.isDirectory()) return adapterOfGguf(readGguf(await beginningOf(file, GGUF_HEAD_BYTES_MAX)), base);
    return await peftOf(path, file, (await peftWeights(file)).size, base);
  } catch (error) {
    if (!(error instanceof Faulty)) throw error;
    throw invalid(`${path} cannot be used: ${error.message}.`, 'adapter');
  }
}

async function peftWeights(file: string) {
  return stat(file).catch(() => {
    throw new Faulty(`there is no ${PEFT_WEIGHTS} in the folder`);
  });
}

async function ggufOf(path: string, kind: 'lora' | 'full', base: Architecture): Promise<AdapterFacts | null> {
  const head = readGguf(await beginningOf(path, GGUF_HEAD_BYTES_MAX));
  if (kind === 'lora') return adapterOfGguf(head, base);
  checkFullModel(head, base);
  return null;
}

async function peftOf(folder: string, file: string, bytes: number, base: Architecture): Promise<AdapterFacts> {
  const configPath = join(folder, 'adapter_config.json');
  const config = await beginningOf(configPath, CONFIG_BYTES_MAX).catch(() => {
    throw new Faulty('there is no adapter_config.json in the folder');
  });
  const head = await beginningOf(file, SAFETENSORS_HEAD_BYTES_MAX);
  return adapterOfPeft(readPeftConfig(config.toString('utf8')), readSafetensors(head, bytes), base);
}

async function beginningOf(path: string, bytesMax: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, bytesMax));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest('hex');
}

function invalid(message: string, param = 'source'): CubitError {
  return new CubitError('invalid_request', message, { details: { param } });
}
