import { spawnSync } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { expect, it } from 'vitest';

it('a log that cannot be written ends nothing', ({ skip }) => {
  if (!existsSync('/dev/full')) skip('this system has no /dev/full, a disk without room');
  const script = `
    const { createLog } = await import(${JSON.stringify(new URL('./log.ts', import.meta.url).href)});
    const log = createLog({ level: 'info', file: null });
    for (let i = 0; i < 3; i += 1) log.info({ i }, 'line');
    setTimeout(() => { log.info({}, 'later'); console.log('alive'); }, 20);`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', openSync('/dev/full', 'w')],
    encoding: 'utf8',
  });
  expect([stdout, status]).toEqual(['alive\n', 0]);
});
