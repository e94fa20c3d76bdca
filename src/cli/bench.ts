import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { CubitError } from '../core/errors.ts';
import type { BenchFlags } from './bench/flags.ts';

/** `cubit bench`: a load test of an endpoint of this Cubit, or of any OpenAI-compatible server. */
export function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .description('load-test an endpoint of this Cubit, or any OpenAI-compatible server (--url … --model …)')
    .option('--endpoint <name>', 'endpoint of the Cubit at --url; the test makes a key of its own and revokes it')
    .option('--model <name>', 'model of the server at --url')
    .option('--api-key-env <variable>', 'environment variable that holds the API key')
    .option(
      '--header <name: value>',
      'header of every request; may be repeated',
      (text: string, before: string[] = []) => [...before, text],
    )
    .option('--body <json>', 'more fields of every request, such as {"ignore_eos":true}');
  loadOptions(bench);
  lengthOptions(bench);
  limitOptions(bench);
  bench
    .option('--save <file>', 'write the report as JSON, for `cubit bench compare`')
    .option('--csv <file>', 'write a row a request')
    .option('--html <file>', 'write one page with plots')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: BenchFlags) => {
      const [{ runBench }, { failing }] = await Promise.all([import('./bench/run.ts'), import('./bench/flags.ts')]);
      process.exitCode = await runBench(failing(program), flags, program.opts());
    });
  bench
    .command('compare')
    .description('compare two reports (--json or --save): differences with 95 % intervals, or that noise hides them')
    .argument('<a.json>')
    .argument('<b.json>')
    .action(async (a: string, b: string) => {
      const { compareReports } = await import('../bench/compare.ts');
      const comparison = compareReports(await readReport(a), await readReport(b));
      if (program.opts<{ json?: boolean }>().json) console.log(JSON.stringify(comparison, null, 2));
      else console.log((await import('./bench/text.ts')).comparisonText(comparison));
    });
}

const EXAMPLES = `
Examples:
  cubit bench --endpoint demo --rate 0.5 --prompt 60 --output 16 --seconds 60 --html report.html
  cubit bench --url http://10.0.0.5:8000 --model llama --concurrency 32
  cubit bench --url http://10.0.0.5:8000 --model llama --ramp --ttft 1000 --tpot 50
  cubit bench --url http://10.0.0.5:8000 --model llama --trace conversation_trace.jsonl --to 600 --time-scale 0.5`;

function loadOptions(bench: Command): void {
  bench
    .option('--rate <n>', 'requests/s, whatever the answers do (with --turns: conversations/s)')
    .option('--arrivals <kind>', 'constant, poisson, gamma or weibull', 'poisson')
    .option('--cv <n>', 'burstiness of gamma and weibull: standard deviation of the gaps over their mean', '2')
    .option('--concurrency <n>', 'so many requests at a time, a new one when one ends')
    .option('--trace <path>', 'replay a trace: a file, or a folder of ServeGen clients')
    .option(
      '--format <name>',
      'azure, mooncake, cubit (`cubit usage export`) or servegen (default: by the file, or a folder)',
    )
    .option('--from <s>', 'begin at this second of the trace', '0')
    .option('--to <s>', 'end before this second of the trace')
    .option('--time-scale <n>', 'arrival times of the trace times this: 0.5 = twice as fast', '1')
    .option('--rate-scale <n>', 'rates of ServeGen’s clients times this', '1')
    .option('--turns <n>', 'conversations of so many turns on average, each sending the whole history')
    .option('--think <s>', 'mean time between an answer and the next turn', '5')
    .option('--ramp', 'find the highest rate that meets --ttft and --tpot (begins at --rate, default 1)')
    .option('--ramp-max <n>', 'the highest rate to try', '1000')
    .option('--probe <s>', 'length of one probe of the ramp, with its warm-up', '30')
    .option('--seed <n>', 'decides arrivals, lengths and texts', '1');
}

function lengthOptions(bench: Command): void {
  bench
    .option('--prompt <n>', 'prompt tokens (words that are one token in most vocabularies)', '256')
    .option('--output <n>', 'output tokens at most (`max_tokens`)', '64')
    .option('--spread <share>', 'spread lengths evenly over ± this share', '0')
    .option('--shared <n>', 'first tokens of the prompt that all have in common', '0')
    .option('--length-scale <n>', 'lengths of the trace times this', '1')
    .option('--prompt-max <n>', 'cut the trace’s prompts to this')
    .option('--output-max <n>', 'cut the trace’s outputs to this');
}

function limitOptions(bench: Command): void {
  bench
    .option('--ttft <ms>', 'target: time to first token, from the time a request was due')
    .option('--tpot <ms>', 'target: time per output token after the first')
    .option('--percentile <n>', 'share of requests that has to meet each target of a ramp', '95')
    .option('--seconds <n>', 'how long requests are sent (default: 60, or the whole trace)')
    .option('--requests <n>', 'how many are sent at most')
    .option('--warm-up <s>', 'requests due in the first seconds are not counted (default: 5; 0 in tests under 20 s)')
    .option('--drain <s>', 'how long to wait for the last answers', '60')
    .option('--silence <s>', 'a request without a byte for so long has failed', '300')
    .option('--in-flight-max <n>', 'requests under way at most; more are not sent and count as failed');
}

async function readReport(path: string) {
  const { isReport } = await import('../bench/report.ts');
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CubitError('invalid_request', `${path}: ${(error as Error).message}`, { cause: error });
  }
  if (isReport(value)) return value;
  throw new CubitError('invalid_request', `${path} is not a report of \`cubit bench\` (--json or --save).`);
}
