import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { CubitError } from '../core/errors.ts';
import { type ClientOptions, createClient, urlOf } from './client.ts';
import { keepLogin, loginsPath } from './logins.ts';
import { render } from './render.ts';

type Options = ClientOptions & { readonly json?: boolean };

/** `cubit login`, `logout` and `whoami`: which token the other commands send. */
export function addLogin(program: Command): void {
  const print = (answer: unknown) => {
    console.log(program.opts<Options>().json ? JSON.stringify(answer, null, 2) : render(answer));
  };
  program
    .command('login')
    .description('keep a token (pt-cubit-… of `cubit token create`, or an API key) for this Cubit, for every command')
    .action(async () => {
      const options = program.opts<Options>();
      const token = options.token ?? (await askToken());
      const url = urlOf(options);
      // Only one that works is kept.
      const me = (await createClient({ ...options, token }).call('GET', '/me')) as object;
      keepLogin(url, token, process.env);
      print({ url, keptIn: loginsPath(process.env), ...me });
    });
  program
    .command('logout')
    .description('forget the token that login kept for this Cubit; to end the token itself: cubit token revoke')
    .action(() => {
      const url = urlOf(program.opts<Options>());
      keepLogin(url, null, process.env);
      print({ url, loggedIn: false });
    });
  program
    .command('whoami')
    .description('who you are to this Cubit, and what you may do')
    .action(async () => print(await createClient(program.opts<Options>()).call('GET', '/me')));
}

/** From the terminal without showing it, or a line of stdin. Throws `invalid_request` when there is none. */
async function askToken(): Promise<string> {
  const { stdin } = process;
  const terminal = stdin.isTTY === true;
  if (terminal) process.stderr.write('Token: ');
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: silent, terminal });
  try {
    for await (const line of lines) {
      if (terminal) process.stderr.write('\n');
      if (line.trim() !== '') return line.trim();
      break;
    }
  } finally {
    lines.close();
  }
  throw new CubitError('invalid_request', 'No token was given. Say --token, or write it to stdin.');
}
