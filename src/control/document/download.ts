import { z } from 'zod';

/** What people keep: a table for programs, or a page for the printer. */
export const Format = z.enum(['csv', 'html']).default('csv').describe('csv: a table. html: a page to print');
export const CONTENT_TYPES = { csv: 'text/csv; charset=utf-8', html: 'text/html; charset=utf-8' } as const;

export const Download = z.object({
  filename: z.string().regex(/^[\w.-]{1,100}$/),
  contentType: z.enum([CONTENT_TYPES.csv, CONTENT_TYPES.html]),
  body: z.string(),
});
export type Download = z.output<typeof Download>;
