import { stripVTControlCharacters } from 'node:util';

/** A few lines that redraw in place on a terminal; elsewhere one line every `quietMs`. */
export function liveScreen(quietMs: number, out: NodeJS.WriteStream = process.stdout) {
  let lines = 0;
  let printedAt = Number.NEGATIVE_INFINITY;
  return {
    draw(rows: readonly string[], short: string): void {
      if (!out.isTTY) {
        if (performance.now() - printedAt < quietMs) return;
        printedAt = performance.now();
        out.write(`${short}\n`);
        return;
      }
      const width = out.columns || 80;
      const fit = rows.map((row) => (stripVTControlCharacters(row).length > width ? row.slice(0, width) : row));
      out.write(`${lines > 0 ? `\x1b[${lines}A` : ''}${fit.map((row) => `\x1b[2K${row}\n`).join('')}`);
      lines = rows.length;
    },
  };
}

/** `████····` of a share; over 1 is full. */
export function bar(share: number, width = 30): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '█'.repeat(filled) + '·'.repeat(width - filled);
}

/** The middle value and the value that 95 % do not exceed; null of nothing. */
export function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? null;
}
