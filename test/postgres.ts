import type { TestProject } from 'vitest/node';
import { createDatabase, startLocalPostgres, TEMPLATE } from '../src/store/local-postgres.ts';
import { openStore } from '../src/store/store.ts';

/** One PostgreSQL for a run of the tests, with a migrated database to copy. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startLocalPostgres({ durable: false });
  const template = await openStore({ postgresUrl: await createDatabase(server.url, TEMPLATE) });
  await template.close();
  project.provide('postgresUrl', server.url);
  return () => server.stop();
}

declare module 'vitest' {
  interface ProvidedContext {
    /** In the project `postgres` only. */
    postgresUrl?: string;
  }
}
