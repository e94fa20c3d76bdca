import type { Command } from 'commander';

/** `npm run demo`: the main job in about a minute, on state of its own that is gone afterwards. */
export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('the main job in about a minute, on temporary state: buy a unit, real requests, receipts, the bill')
    .option('--seconds <n>', 'how long requests arrive', '40')
    .option('--load <share>', 'work offered, as a share of what the unit supplies', '0.7')
    .option('--seed <n>', 'seed of the prompts', '1')
    .action(async (flags: { seconds: string; load: string; seed: string }) => {
      const number = (name: string, text: string, min: number, max: number) => {
        const value = Number(text);
        if (text.trim() !== '' && value >= min && value <= max) return value;
        return program.error(`error: --${name} wants a number from ${min} to ${max}, not “${text}”`, { exitCode: 2 });
      };
      const { runDemo } = await import('./demo/run.ts');
      const ok = await runDemo({
        spanMs: number('seconds', flags.seconds, 5, 600) * 1000,
        load: number('load', flags.load, 0.05, 3),
        seed: number('seed', flags.seed, 0, 2 ** 32 - 1),
      });
      if (!ok) process.exitCode = 1;
    });
}
