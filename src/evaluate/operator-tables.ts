import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { CubitError } from '../core/errors.ts';
import type { OperatorRow, OperatorTable } from './operators.ts';

/** The Parquet tables of a folder, one after the other. Throws `invalid_request` where there are none. */
export async function* readTables(folder: string): AsyncGenerator<OperatorTable> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.parquet')).sort();
  if (names.length === 0) throw new CubitError('invalid_request', `There is no .parquet file in ${folder}.`);
  for (const name of names) {
    const bytes = await readFile(join(folder, name));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    const rows = await parquetReadObjects({ file, compressors });
    yield { name, rows: rows.map(plain) };
  }
}

/** 64-bit integers of the file as numbers: sizes and counts are far below 2^53. */
function plain(row: Record<string, unknown>): OperatorRow {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? Number(value) : (value as string | number),
    ]),
  );
}
