import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { toCubitError } from '../core/errors.ts';
import { addAdopt } from './adopt.ts';
import { addCompletion } from './completion.ts';
import { addDemo } from './demo.ts';
import { renderError } from './render.ts';
import { addUp } from './up.ts';
import { addVerbCommands } from './verbs.ts';
import { addWeights } from './weights.ts';

/** Exit codes: 0 done, 1 failed, 2 wrong usage. */
const manifest = createRequire(import.meta.url)('../../package.json') as { version: string; description: string };

const program = new Command('cubit')
  .description(manifest.description)
  .version(manifest.version)
  .option('--url <url>', 'the Cubit to talk to (default: CUBIT_URL, else this machine’s)')
  .option(
    '--token <token>',
    'operator token or API key (default: CUBIT_TOKEN, else the operator token in the data folder)',
  )
  .option('--data <folder>', 'data folder (default: CUBIT_DATA_DIR, else a folder of the user)')
  .option('--tenant <tenant>', 'tenant to act for, by name or id (default: CUBIT_TENANT, else the only one)')
  .option('--json', 'print JSON')
  .showHelpAfterError('(add --help for what there is)')
  .showSuggestionAfterError();

addUp(program);
addDemo(program);
addWeights(program);
addAdopt(program);
addVerbCommands(program);
addCompletion(program);
exitOnUsage(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    const known = toCubitError(error);
    if (program.opts()['json']) {
      console.error(JSON.stringify({ error: { code: known.code, message: known.message, details: known.details } }));
    } else {
      console.error(renderError(known));
      if (known.code === 'internal') console.error(known.cause);
    }
    process.exitCode = 1;
  }
}

function exitOnUsage(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitOnUsage(child);
}
