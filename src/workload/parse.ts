import { parseAzureTrace } from './azure.ts';
import { isCubitLine, parseCubitTrace } from './cubit.ts';
import { parseMooncakeTrace } from './mooncake.ts';
import type { Trace } from './trace.ts';

/** Formats of one file; a ServeGen workload is a folder. */
export const FILE_FORMATS = ['azure', 'mooncake', 'cubit'] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];

/** By how the file begins: JSON lines are Mooncake's or Cubit's own, anything else is Azure's CSV. */
export function formatOf(text: string): FileFormat {
  if (!text.trimStart().startsWith('{')) return 'azure';
  return isCubitLine(text.trimStart().split('\n', 1)[0] as string) ? 'cubit' : 'mooncake';
}

/** A trace in whichever format it is, or in the one that is named. Throws as they do. */
export function parseTrace(text: string, format: FileFormat = formatOf(text)): Trace {
  switch (format) {
    case 'azure':
      return parseAzureTrace(text);
    case 'mooncake':
      return parseMooncakeTrace(text);
    case 'cubit':
      return parseCubitTrace(text);
  }
}
