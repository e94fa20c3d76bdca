import { describe, expect, it } from 'vitest';
import { parseWorkerOptions, workerArguments } from './options.ts';

describe('parseWorkerOptions', () => {
  it.each([{ socketPath: '/tmp/a b.sock' }, { host: '127.0.0.1', port: 0 }])(
    'reads back what it wrote: %j',
    (listen) => {
      const options = {
        modelPath: '/m.gguf',
        listen,
        contextTokens: 512,
        sequences: 2,
        threads: 1,
        name: 'm',
        waitingMax: 3,
        kvFolder: null,
      };
      expect(parseWorkerOptions(workerArguments(options))).toEqual(options);
      const sharing = { ...options, kvFolder: '/tmp/k v' };
      expect(parseWorkerOptions(workerArguments(sharing))).toEqual(sharing);
    },
  );

  it.each([
    [['--socket', '/s'], '--model is missing'],
    [['--model', 'm'], 'one of --socket and --listen'],
    [['--model', 'm', '--socket', '/s', '--listen', 'a:1'], 'one of --socket and --listen'],
    [['--model', 'm', '--listen', 'nowhere'], 'HOST:PORT'],
    [['--model', 'm', '--socket', '/s', '--context', 'many'], '--context takes a whole number'],
    [['--model', 'm', '--socket', '/s', '--what', '1'], '--what'],
  ])('says what is wrong with %j', (argv, message) => {
    expect(() => parseWorkerOptions(argv)).toThrow(message);
  });
});
