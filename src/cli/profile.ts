import type { Command } from 'commander';
import { DEFAULT_TEMPLATE_ID } from '../catalog/default.ts';

export interface ProfileFlags {
  template?: string;
  endpoint?: string;
  model?: string;
  apiKeyEnv?: string;
  quick?: boolean;
  thorough?: boolean;
  minutes?: string;
  coefficients: string;
  context?: string;
  sequences?: string;
  prefillTokens?: string;
  out?: string;
  html?: string;
  seed: string;
  adapter: readonly string[];
}

/** `cubit profile`: how fast a unit is, measured on a real engine; `cubit profile check`: whether the profile predicts it. */
export function addProfile(program: Command): void {
  const profile = program
    .command('profile')
    .description(
      'measure how fast a real engine is and write the profile that its template goes by; with --url, any OpenAI-compatible server',
    )
    .option('--template <id>', `the template that is measured (default: ${DEFAULT_TEMPLATE_ID})`)
    .option('--endpoint <name>', 'measure the unit of this endpoint, through its gateway')
    .option('--model <name>', 'the model’s name on the server of --url (default: the only one it lists)')
    .option('--api-key-env <variable>', 'environment variable that holds the API key')
    .option('--quick', 'about a minute: coarse')
    .option('--thorough', 'about a quarter of an hour: more lengths, tighter intervals, tiers found by load')
    .option('--minutes <n>', 'measure at most this long (default: 4; --quick 1, --thorough 10)')
    .option('--coefficients <list>', 'elasticity coefficients of the tiers', '1,1.2,1.5,2')
    .option('--context <tokens>', 'context of one sequence, where neither template nor server says')
    .option('--sequences <n>', 'sequences together at most, where no template says')
    .option('--prefill-tokens <n>', 'prompt tokens of one step at most (vLLM: max_num_batched_tokens)')
    .option(
      '--adapter <file>',
      'measure what a LoRA adapter costs (GGUF file, or a folder in PEFT’s layout; may be given again) and add its factor to the profile; the unit itself is measured only where that file has no profile yet',
      (file: string, before: readonly string[]) => [...before, file],
      [],
    )
    .option('--out <file>', 'profile file (default: profiles/<template>.json in the data folder, which wins over ours)')
    .option('--html <file>', 'charts (default: beside the profile file)')
    .option('--seed <n>', 'seed of prompts and order', '1')
    .action(async (flags: ProfileFlags) => {
      const { runProfile } = await import('./profile/run.ts');
      await runProfile(program, flags);
    });
  profile
    .command('check')
    .description('predict a mixed load at three loads, then send it, and compare TPOT and E2E')
    .option('--loads <list>', 'shares of the rated throughput', '0.3,0.6,0.85')
    .option('--seconds <n>', 'how long requests arrive at each load', '70')
    .option('--own-time', 'do not count the time that the engine waits for a core that others use (Linux)')
    .option('--profile <file>', 'the profile that is checked (default: what the template goes by)')
    .action(async (flags: { loads: string; seconds: string; profile?: string; ownTime?: boolean }) => {
      const { runCheck } = await import('./profile/check.ts');
      await runCheck(program, { ...profile.opts<ProfileFlags>(), ...flags });
    });
}
