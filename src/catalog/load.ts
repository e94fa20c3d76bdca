import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { CubitError } from '../core/errors.ts';
import { checkCatalog } from './check.ts';
import { Cloud } from './clouds.ts';
import type { Entry, Fault } from './fault.ts';
import { type PriceBook, readPriceBook } from './price-book.ts';
import { withProfiles } from './profiles.ts';
import { type Catalog, MachineType, Model, Profile, Template } from './schema.ts';

/** The catalogue that ships with Cubit. */
export const defaultCatalogDir = fileURLToPath(new URL('../../catalog', import.meta.url));

/**
 * Reads and validates a catalogue folder (its README says what each file holds). Throws one CubitError
 * `config_invalid` that lists every fault at once, each with file, path and what to do; `details.faults` has them as
 * data. Profiles of `ownProfilesDir` (an operator's, usually `profiles` in the data folder; it need not exist) win over
 * those of the catalogue, and both over the templates' own.
 */
export async function loadCatalog(dir: string = defaultCatalogDir, ownProfilesDir?: string): Promise<Catalog> {
  const faults: Fault[] = [];
  const models = await readLists(dir, 'models', 'models', Model, faults);
  const machineTypes = await readList(dir, 'machine-types.json', 'machineTypes', MachineType, faults);
  const profiles = await readProfiles(dir, 'profiles', faults);
  if (ownProfilesDir !== undefined) profiles.push(...(await readProfiles(ownProfilesDir, '', faults)));
  const templates = withProfiles(await readSingles(dir, 'templates', Template, faults), profiles, faults);
  const priceBook = await readPrices(dir, new Set(templates.map(({ id }) => id)), faults);
  const clouds = await readClouds(dir, faults);
  faults.push(...checkCatalog({ models, machineTypes, templates }));
  if (faults.length > 0) throw catalogInvalid(dir, faults);
  return {
    models: byId(models),
    machineTypes: byId(machineTypes),
    templates: byId(templates),
    priceBook: priceBook!,
    clouds: clouds.flatMap(({ value }) => value ?? []),
  };
}

async function readPrices(dir: string, templateIds: ReadonlySet<string>, faults: Fault[]): Promise<PriceBook | null> {
  const raw = await readJson(dir, 'prices.json', faults);
  if (raw === undefined) return null;
  const read = readPriceBook(raw, templateIds);
  faults.push(...read.faults.map((fault) => ({ file: 'prices.json', ...fault })));
  return read.book;
}

/** For comparison only: a catalogue may go without. */
async function readClouds(dir: string, faults: Fault[]): Promise<Entry<Cloud>[]> {
  const absent = await access(join(dir, 'clouds.json')).then(
    () => false,
    () => true,
  );
  return absent ? [] : readList(dir, 'clouds.json', 'clouds', Cloud, faults);
}

function catalogInvalid(dir: string, faults: readonly Fault[]): CubitError {
  const lines = faults.map(({ file, path, message }) => `${file}${path === '' ? '' : ` at ${path}`}: ${message}`);
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`;
  return new CubitError('config_invalid', `The catalogue in ${dir} has ${count}.\n${lines.join('\n')}`, {
    details: { dir, faults },
  });
}

type Identified = { readonly id: string };

function byId<T extends Identified>(entries: readonly Entry<T>[]): ReadonlyMap<string, T> {
  return new Map(entries.map(({ id, value }) => [id, value!]));
}

/** Every `*.json` of a folder, each a list under `key`. */
async function readLists<T extends Identified>(
  dir: string,
  folder: string,
  key: string,
  item: z.ZodType<T>,
  faults: Fault[],
): Promise<Entry<T>[]> {
  const entries: Entry<T>[] = [];
  for (const file of await jsonFilesOf(dir, folder, faults)) {
    entries.push(...(await readList(dir, file, key, item, faults)));
  }
  return entries;
}

/** One file `{ "<key>": [item, …] }`. Items are validated one by one, so that a bad one does not hide the others. */
async function readList<T extends Identified>(
  dir: string,
  file: string,
  key: string,
  item: z.ZodType<T>,
  faults: Fault[],
): Promise<Entry<T>[]> {
  const list = parse(
    z.strictObject({ [key]: z.array(z.unknown()) }),
    await readJson(dir, file, faults),
    file,
    '',
    faults,
  );
  return (list?.[key] ?? []).flatMap((raw, index) => entryOf(item, raw, file, `${key}[${index}]`, faults));
}

/** Every `*.json` of a folder, each one item. */
async function readSingles<T extends Identified>(
  dir: string,
  folder: string,
  item: z.ZodType<T>,
  faults: Fault[],
): Promise<Entry<T>[]> {
  const entries: Entry<T>[] = [];
  for (const file of await jsonFilesOf(dir, folder, faults)) {
    entries.push(...entryOf(item, await readJson(dir, file, faults), file, '', faults));
  }
  return entries;
}

/** Every `*.json` of a folder of profiles, if there is one; each is an item that goes by its template's id. */
async function readProfiles(dir: string, folder: string, faults: Fault[]): Promise<Entry<Profile>[]> {
  const names = await readdir(join(dir, folder)).catch(() => []);
  const entries: Entry<Profile>[] = [];
  for (const name of names.filter((one) => one.endsWith('.json')).sort()) {
    const shown = folder === '' ? join(dir, name) : `${folder}/${name}`;
    const value = parse(Profile, await readJson(dir, join(folder, name), faults), shown, '', faults);
    if (value !== null) entries.push({ id: value.templateId, file: shown, path: '', value });
  }
  return entries;
}

/** An invalid item keeps its id, so that what names it is not reported as well. */
function entryOf<T>(item: z.ZodType<T>, raw: unknown, file: string, path: string, faults: Fault[]): Entry<T>[] {
  const value = parse(item, raw, file, path, faults);
  const id = (raw as { id?: unknown } | null | undefined)?.id;
  return typeof id === 'string' ? [{ id, file, path, value }] : [];
}

async function jsonFilesOf(dir: string, folder: string, faults: Fault[]): Promise<string[]> {
  try {
    const names = await readdir(join(dir, folder));
    return names
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => `${folder}/${name}`);
  } catch {
    faults.push({ file: `${folder}/`, path: '', message: 'cannot be read; create the folder or correct catalogDir' });
    return [];
  }
}

/** undefined = not read; the fault is noted. */
async function readJson(dir: string, file: string, faults: Fault[]): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(join(dir, file), 'utf8');
  } catch {
    faults.push({ file, path: '', message: 'cannot be read; create the file or correct catalogDir' });
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    faults.push({ file, path: '', message: `is not JSON; correct it (${(error as Error).message})` });
    return undefined;
  }
}

function parse<T>(schema: z.ZodType<T>, raw: unknown, file: string, path: string, faults: Fault[]): T | null {
  if (raw === undefined) return null;
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const help = issue.code === 'unrecognized_keys' ? '; remove it or correct its name' : '';
    faults.push({ file, path: joinPath(path, issue.path), message: `${issue.message}${help}` });
  }
  return null;
}

function joinPath(base: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>((whole, key) => {
    if (typeof key === 'number') return `${whole}[${key}]`;
    return whole === '' ? String(key) : `${whole}.${String(key)}`;
  }, base);
}
