import { setTimeout as sleep } from 'node:timers/promises';
import { CubitError } from '../core/errors.ts';

const ATTEMPTS_MAX = 30;
const WAIT_MS_MAX = 250;
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';

/**
 * Runs a transaction again, after a short random wait, when PostgreSQL took it back because of others at the same
 * moment: nothing of it is left then. 30 attempts, about five seconds; then `conflict`.
 */
export async function retried<T>(
  transaction: () => Promise<T>,
  { attemptsMax = ATTEMPTS_MAX }: { readonly attemptsMax?: number } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction();
    } catch (error) {
      if (!wasTakenBack(error)) throw error;
      if (attempt >= attemptsMax) throw tooBusy(error);
    }
    await sleep(Math.random() * Math.min(WAIT_MS_MAX, 2 ** attempt));
  }
}

function wasTakenBack(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === SERIALIZATION_FAILURE || code === DEADLOCK_DETECTED;
}

function tooBusy(cause: unknown): CubitError {
  return new CubitError(
    'conflict',
    'Too many others changed the same at this moment; nothing was changed. Try again.',
    {
      cause,
    },
  );
}
