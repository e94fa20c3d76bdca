import { expect, test } from 'vitest';
import { retried } from './retry.ts';

const takenBack = (code: string) => Object.assign(new Error(code), { code });

test('what the database took back runs again, anything else once', async () => {
  let runs = 0;
  const third = () =>
    ++runs < 3 ? Promise.reject(takenBack(runs === 1 ? '40001' : '40P01')) : Promise.resolve('done');
  expect(await retried(third)).toBe('done');
  expect(runs).toBe(3);
  const violation = () => {
    runs += 1;
    return Promise.reject(takenBack('23505'));
  };
  await expect(retried(violation)).rejects.toMatchObject({ code: '23505' });
  expect(runs).toBe(4);
});

test('not for ever', async () => {
  let runs = 0;
  const never = () => {
    runs += 1;
    return Promise.reject(takenBack('40001'));
  };
  await expect(retried(never, { attemptsMax: 3 })).rejects.toMatchObject({ code: 'conflict' });
  expect(runs).toBe(3);
});
