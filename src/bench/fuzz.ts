import { parseArgs } from 'node:util';
import { fuzz } from './fuzz/run.ts';

/**
 * `npm run fuzz:gateway -- --requests 100000 --seed N --json`: mutated requests over raw sockets against a real gateway
 * whose engines answer mutated answers. Exit code 1 when something is left over at the end, or something threw.
 */
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    json: { type: 'boolean', default: false },
  },
});

const requests = whole('requests', 10, 10_000_000);
const seed = whole('seed', 0, 2 ** 32 - 1);
const thrown: string[] = [];
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    thrown.push(`${event}: ${error instanceof Error ? error.stack : String(error)}`.slice(0, 2_000));
  });
}
const progress = (done: number) => {
  if (process.stderr.isTTY) console.error(`${done} of ${requests}`);
};
const report = await fuzz({ requests, seed, progress });
const faults = [...thrown, ...report.faults];
if (values.json) console.log(JSON.stringify({ ...report, faults }));
else {
  console.log(`${requests} requests in ${report.seconds} s, seed ${seed}`);
  console.log('answers', report.statuses, 'outcomes', report.outcomes);
  console.log(`${report.stored} receipts stored, ${report.ejections} ejections, ${report.sentAgain} sent again`);
  console.log(`heap after collections: ${report.heapMb.join(', ')} MB`);
  console.log(faults.length === 0 ? 'Nothing is left over.' : faults.join('\n'));
}
process.exitCode = faults.length === 0 ? 0 : 1;

function whole(name: 'requests' | 'seed', min: number, max: number): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`--${name} has to be a whole number from ${min} to ${max}.`);
  process.exit(2);
}
