import { expect, test } from 'vitest';
import type { EngineConfig } from '../../sim/engine.ts';
import { chooseUnit, type UnitFlags } from './unit.ts';

async function engineOf(flags: UnitFlags): Promise<EngineConfig> {
  const { config } = await chooseUnit(flags, 0);
  if (config.kind !== 'unified') throw new Error('the default unit does both');
  return config.engine;
}

test('steps that keep the TPOT target are as long as it lets them, beside a half-full cache and batch', async () => {
  const { kvTokens, sequencesMax, step, stepTokensMax } = await engineOf({ stepTokens: 'auto', tpotMs: 60 });
  const ms = (tokens: number) =>
    (step.tau0Us + step.tau1Us * tokens + (step.tau3Us * sequencesMax + (step.tau4Us + step.tau5Us) * kvTokens) / 2) /
    1000;
  expect(ms(stepTokensMax)).toBeLessThanOrEqual(60);
  expect(ms(stepTokensMax + 64)).toBeGreaterThan(60);
});

test('a target that no step keeps leaves the least, a lax one what the unit has; without auto it is as told', async () => {
  expect((await engineOf({ stepTokens: 'auto', tpotMs: 1 })).stepTokensMax).toBe(64);
  expect((await engineOf({ stepTokens: 'auto', tpotMs: 5_000 })).stepTokensMax).toBe(2_048);
  expect((await engineOf({ tpotMs: 60 })).stepTokensMax).toBe(2_048);
  expect((await engineOf({ stepTokens: 500, tpotMs: 60 })).stepTokensMax).toBe(500);
});
