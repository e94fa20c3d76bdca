import { parseAzureTrace } from './azure.ts';
import { parseMooncakeTrace } from './mooncake.ts';
import type { Trace } from './trace.ts';

/** A trace in whichever of the two formats it is: JSON lines are Mooncake's, else Azure's CSV. Throws as they do. */
export function parseTrace(text: string): Trace {
  return text.trimStart().startsWith('{') ? parseMooncakeTrace(text) : parseAzureTrace(text);
}
