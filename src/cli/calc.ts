import type { Command } from 'commander';
import type { CalcFlags } from './calc/question.ts';

/** `cubit calc`: how many units a traffic needs, and what they cost. */
export function addCalc(program: Command): void {
  const calc = program
    .command('calc')
    .description('how many units a traffic needs, how fast they are and what they cost, for every template and tier')
    .option('--model <id>', 'model (`cubit model list`); with --endpoint its only one');
  trafficOptions(calc);
  calc
    .option('--ttft <ms>', 'time to the first token to reach')
    .option('--tpot <ms>', 'time per token to reach')
    .option('--percentile <p>', 'of requests that have to reach it: 50 or 95', '95')
    .option('--coefficient <k>', 'only tiers of this elasticity coefficient')
    .option('--lora-factor <x>', 'work with a LoRA adapter over that without')
    .option('--lora-rank <n>', 'rank of a LoRA adapter instead, as `cubit profile --adapter` measured it')
    .option('--machine <id>', 'on this machine type, from facts, instead of the templates')
    .option(
      '--machine-facts <list>',
      'hardware that is not in the catalogue: memory=80e9,bandwidth=3.35e12,flops=989e12,link=450e9,accelerators=8',
    )
    .option('--clouds', 'the same traffic in the units of clouds')
    .option('--catalog [folder]', 'calculate here from the catalogue, without asking a server')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: CalcFlags) => {
      const { runCalc } = await import('./calc/run.ts');
      const fail = (message: string): never => program.error(`error: ${message}`, { exitCode: 2 });
      process.exitCode = await runCalc(fail, flags, program.opts());
    });
}

function trafficOptions(calc: Command): void {
  calc
    .option('--rpm <n>', 'requests a minute, mean over the day')
    .option('--input <tokens>', 'input of a request, mean')
    .option('--output <tokens>', 'output of a request, mean')
    .option('--cache-hit <share>', 'share of the input that a prefix cache serves: 0.5 or 50%', '0')
    .option('--spread <cv>', 'how lengths vary: standard deviation over mean; 0 = all alike', '0')
    .option('--histogram <file>', 'CSV of input,output,count[,cached] with that header, instead of means')
    .option('--trace <file>', 'a trace instead: Azure CSV or Mooncake JSONL; checked by simulation')
    .option('--endpoint <name>', 'what this endpoint has served, from its receipts')
    .option('--peak-shape <file>', 'the day’s shape: 24 numbers from midnight on');
}

const EXAMPLES = `
Exit codes: 0 calculated, 1 no number of units reaches the targets, 2 wrong input.
Examples:
  cubit calc --model llama-3.1-8b-instruct --rpm 1000 --input 2000 --output 200 --ttft 1000 --tpot 40
  cubit calc --model qwen3-32b --rpm 300 --input 1500 --output 300 --cache-hit 50% --peak-shape day.txt --clouds
  cubit calc --model llama-3.1-8b-instruct --trace AzureLLMInferenceTrace_code.csv --ttft 2000
  cubit calc --endpoint demo`;
