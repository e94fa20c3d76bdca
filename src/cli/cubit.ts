import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { CubitError, toCubitError } from '../core/errors.ts';
import { addAdopt } from './adopt.ts';
import { addBench } from './bench.ts';
import { addCalc } from './calc.ts';
import { addCompletion } from './completion.ts';
import { addDemo } from './demo.ts';
import { addEvaluate } from './evaluate.ts';
import { addGateway } from './gateway.ts';
import { addLogin } from './login.ts';
import { addProfile } from './profile.ts';
import { errorJson, renderError } from './render.ts';
import { addSimulate } from './simulate.ts';
import { addUp } from './up.ts';
import { addVerbCommands } from './verbs.ts';
import { addWeights } from './weights.ts';

/** Exit codes: 0 done, 1 failed, 2 wrong usage: of the command line, or what the server calls `invalid_request`. */
const manifest = createRequire(import.meta.url)('../../package.json') as { version: string; description: string };

const program = new Command('cubit')
  .description(manifest.description)
  .version(manifest.version)
  .option('--url <url>', 'the Cubit to talk to (default: CUBIT_URL, else this machine’s)')
  .option(
    '--token <token>',
    'token or API key (default: CUBIT_TOKEN, else that of `cubit login`, else the operator token in the data folder)',
  )
  .option('--data <folder>', 'data folder (default: CUBIT_DATA_DIR, else a folder of the user)')
  .option('--tenant <tenant>', 'tenant to act for, by name or id (default: CUBIT_TENANT, else the only one)')
  .option('--json', 'print JSON')
  .showHelpAfterError('(add --help for what there is)')
  .showSuggestionAfterError()
  .configureHelp({ showGlobalOptions: true });

// Known before parsing: a command line that cannot be parsed is answered in JSON too.
const json = process.argv.includes('--json');
if (json) program.configureOutput({ writeErr: () => {} });

// Whoever reads our output may have gone (`| head`); a full disk is a failure, but no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = 1;
  });
}

addUp(program);
addDemo(program);
addWeights(program);
addAdopt(program);
addProfile(program);
addBench(program);
addCalc(program);
addEvaluate(program);
addGateway(program);
addLogin(program);
addSimulate(program);
addVerbCommands(program);
addCompletion(program);
exitOnUsage(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    if (json && error.exitCode !== 0) console.error(JSON.stringify(errorJson(usageError(error))));
  } else {
    const known = toCubitError(error);
    console.error(json ? JSON.stringify(errorJson(known)) : renderError(known));
    if (known.code === 'internal' && !json) console.error(known.cause);
    process.exitCode = known.code === 'invalid_request' ? 2 : 1;
  }
}

function usageError({ code, message }: CommanderError): CubitError {
  const text = code === 'commander.help' ? 'Say a command; --help lists them.' : message.replace(/^error: /, '');
  return new CubitError('invalid_request', text);
}

function exitOnUsage(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitOnUsage(child);
}
