import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Profile } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';
import { adapterAt } from '../../model-files/files.ts';
import { type AdapterCost, measureAdapter } from '../../profile/adapter.ts';
import { learnLengths, probeOf } from '../../profile/probe.ts';
import { seededRandom } from '../../workload/random.ts';
import { bar, liveScreen } from '../screen.ts';
import type { Opened } from './flags.ts';
import { QUIET_MS, type Run } from './unit.ts';

export interface CheckedAdapter {
  readonly path: string;
  readonly rank: number;
}

export interface MeasuredAdapter extends AdapterCost, CheckedAdapter {}

const HALF_WIDTH_MAX: Record<Run['how'], number> = { quick: 0.03, normal: 0.015, thorough: 0.0075 };

/**
 * Reads the adapters' heads, before anything is measured. Throws `not_found`, and `invalid_request` for one that was made
 * for another model, for two of one rank, and where no template or no architecture says what they are adapters of.
 */
export async function checkedAdapters(paths: readonly string[], opened: Opened): Promise<CheckedAdapter[]> {
  if (paths.length === 0) return [];
  const { catalog, template } = opened;
  if (template === null)
    throw refused('Say with --template whose adapters these are: its profile keeps what they cost.');
  const base = catalog.models.get(template.modelId)?.architecture;
  if (base == null) throw refused(`The catalogue has no architecture of ${template.modelId} to check adapters by.`);
  const adapters: CheckedAdapter[] = [];
  for (const one of paths) {
    const path = resolve(one);
    const { rank } = await adapterAt(path, base);
    const same = adapters.find((other) => other.rank === rank);
    if (same !== undefined) throw refused(`${same.path} and ${path} both have rank ${rank}: give one of a rank.`);
    adapters.push({ path, rank });
  }
  return adapters;
}

/** The profile that the file holds; null when there is none. Throws `config_invalid` for one that is none of the template. */
export function keptProfile(file: string, templateId: string): Profile | null {
  if (!existsSync(file)) return null;
  const kept = readProfile(file);
  if (kept?.templateId === templateId) return kept;
  throw new CubitError(
    'config_invalid',
    `${file} is no profile of ${templateId}: remove it, or name another with --out.`,
  );
}

function readProfile(file: string): Profile | null {
  try {
    return Profile.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data ?? null;
  } catch {
    return null;
  }
}

/** Measures one adapter after the other, each in turns with the bare unit. Throws what the engine says of one. */
export async function costsOf(
  adapters: readonly CheckedAdapter[],
  opened: Opened,
  { step }: Profile,
  run: Run,
): Promise<MeasuredAdapter[]> {
  const { target } = opened;
  const plain = probeOf(target.send, target.nowMs);
  const costs: MeasuredAdapter[] = [];
  for (const adapter of adapters) {
    if (run.stop.aborted) break;
    const loaded = await target.adapter?.(adapter.path);
    if (loaded === undefined) throw refused('Adapters are measured on a template of this machine, or with --url.');
    const cost = await measureAdapter({
      plain,
      adapted: probeOf(loaded.send, target.nowMs),
      lengths: await learnLengths(plain, seededRandom(run.seed)),
      limits: target.limits,
      step,
      random: () => seededRandom(run.seed),
      nowMs: () => performance.now(),
      budgetMs: run.budgetMs,
      halfWidthMax: HALF_WIDTH_MAX[run.how],
      stop: run.stop,
      onRound: run.quiet ? () => undefined : progress(adapter, run.budgetMs),
    });
    await loaded.unload();
    if (cost !== null) costs.push({ ...adapter, ...cost });
    else if (!run.stop.aborted)
      throw new CubitError('engine_failed', `Too little could be measured of ${adapter.path}.`);
  }
  return costs;
}

function progress({ rank }: CheckedAdapter, budgetMs: number) {
  const screen = liveScreen(QUIET_MS);
  return ({ decode, prefill, rounds }: AdapterCost, elapsedMs: number) => {
    const line = `adapter of rank ${rank}: round ${rounds}, prefill × ${prefill}, decode × ${decode}`;
    screen.draw([`${bar(elapsedMs / budgetMs)} ${line}`], line);
  };
}

export function costLine({
  decode,
  decodeHalfWidth,
  prefill,
  prefillHalfWidth,
  rank,
  rounds,
}: MeasuredAdapter): string {
  const factor = (value: number, halfWidth: number) => `× ${value} (± ${(100 * halfWidth).toFixed(1)} %)`;
  const decoding = factor(decode, decodeHalfWidth);
  return `Adapter of rank ${rank}: prefill ${factor(prefill, prefillHalfWidth)}, decode ${decoding}, ${rounds} rounds.\n`;
}

function refused(message: string): CubitError {
  return new CubitError('invalid_request', message, { details: { param: 'adapter' } });
}
