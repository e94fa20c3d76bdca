import { type Command, Option } from 'commander';
import {
  coefficientFrom,
  hoursOf,
  numberFrom,
  SCALERS,
  type SimulateFlags,
  stepTokensFrom,
  wholeFrom,
} from './simulate/flags.ts';

/** `cubit simulate`: a trace through a cluster of simulated units, with the rules that production runs. */
export function addSimulate(program: Command): void {
  const command = program
    .command('simulate')
    .description('play a trace on simulated units: admission, routing and scaling as in production, or as others do it')
    .requiredOption('--trace <file>', 'trace file, or folder of a ServeGen workload')
    .addOption(
      new Option('--format <name>', 'default: by the file').choices([
        'azure',
        'mooncake',
        'cubit',
        'servegen',
        'rates',
      ]),
    )
    .option('--hours <A-B>', 'only these hours of the trace', hoursOf)
    .option('--time-scale <x>', 'arrival times times this: 0.5 sends twice as fast', numberFrom(1e-6, 1e6), 1)
    .option('--rate-scale <x>', 'requests times this', numberFrom(1e-3, 1e4), 1)
    .option('--jitter-s <s>', 'how far copies of a request lie from it, with --rate-scale', numberFrom(0, 600), 2);
  unitOptions(command);
  policyOptions(command);
  command
    .option('--ttft-ms <ms>', 'target: time to the first token from arrival', numberFrom(0), 2000)
    .option('--ttft-factor <x>', 'and so many times the prefill of the request alone', numberFrom(0, 100), 2)
    .option('--tpot-ms <ms>', 'target: mean time per token', numberFrom(0), 60)
    .option('--warmup-s <s>', 'requests of the first seconds are served, not scored', numberFrom(0), 0)
    .option('--seed <n>', 'decides everything random', wholeFrom(0, 2 ** 31), 1)
    .option('--html <file>', 'also write a page with plots of load, units and latency over time')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SimulateFlags) => {
      const { runSimulate } = await import('./simulate/run.ts');
      const fail = (message: string): never => program.error(`error: ${message}`, { exitCode: 2 });
      await runSimulate(fail, flags, Boolean(program.opts()['json']));
    });
}

function unitOptions(command: Command): void {
  command
    .option('--template <id>', 'unit: a template of the catalogue (default: Llama 3.1 8B as measured on one RTX 4090)')
    .option('--unit <file>', 'unit: JSON of your own step model (docs/simulator.md)')
    .option(
      '--cache-tokens <n>',
      'KV cache of a unit: running sequences and kept prefixes; 0: none are kept',
      wholeFrom(0, 1e9),
    )
    .option(
      '--step-tokens <n>',
      'tokens of a step at most; auto: as many as keep --tpot-ms with the KV cache half full (default: the unit’s)',
      stepTokensFrom,
    )
    .option(
      '--units <n>',
      'units at the beginning; with --scaler static throughout (static without it: the best found)',
      wholeFrom(1, 10_000),
    )
    .option('--min <n>', 'units at least', wholeFrom(0, 10_000))
    .option('--max <n>', 'units at most', wholeFrom(1, 10_000))
    .option('--startup-s <s>', 'launch to ready (default: the template’s, else 60)', numberFrom(0, 86_400))
    .option('--startup-cv <x>', 'how start-ups vary: standard deviation over mean', numberFrom(0, 10), 0)
    .option(
      '--price-per-hour <price>',
      'of a unit: also print what is billed, base and added units apart',
      numberFrom(0),
    )
    .option('--failure-hours <h>', 'mean time between failures of a unit (default: none fails)', numberFrom(0.01));
}

function policyOptions(command: Command): void {
  command
    .addOption(
      new Option('--routing <name>', 'who gets a request')
        .choices(['cubit', 'round-robin', 'least-loaded', 'session'])
        .default('cubit'),
    )
    .addOption(
      new Option('--admission <name>', 'who gets in')
        .choices(['cubit', 'flat-tokens', 'in-flight', 'none'])
        .default('cubit'),
    )
    .option('--flat-tokens-per-s <n>', 'rate of flat-tokens for a unit (default: as rated at 10 : 1)', numberFrom(1))
    .option('--in-flight-tokens <n>', 'cap of in-flight for a unit (default: its KV cache)', numberFrom(1))
    .option(
      '--max-wait-s <s>',
      'how long a request may wait for a place; 0: refused at once',
      numberFrom(0, 86_400),
      600,
    )
    .addOption(new Option('--scaler <name>', 'how many units').choices(SCALERS).default('static'))
    .option(
      '--coefficient <k>',
      'capacity for each unit of load, of all scalers but static; auto: the cheapest that reaches --target, in hindsight',
      coefficientFrom,
    )
    .option('--target <share>', 'attainment that a search for static or oracle has to reach', numberFrom(0.5, 1), 0.99);
}

const EXAMPLES = `
Same seed, same figures, byte for byte but for wallMs. Every run is checked from outside (requests, causality, capacity, billing).
Examples:
  cubit simulate --trace conversation_trace.jsonl --units 8 --cache-tokens 3000000
  cubit simulate --trace servegen/deepseek-r1 --hours 6-10 --scaler hpa --units 30 --min 5 --max 80 --startup-s 180
  cubit simulate --trace AzureLLMInferenceTrace_code.csv --rate-scale 10 --units 20 --html report.html`;
