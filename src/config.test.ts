import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from './config.ts';

const folder = () => mkdtempSync(join(tmpdir(), 'cubit-config-'));

describe('configuration', () => {
  it('takes defaults, then the file, then the environment, then flags', () => {
    const dataDir = folder();
    expect(loadConfig({ dataDir }, {}).port).toBe(8420);
    writeFileSync(join(dataDir, 'config.json'), '{ "port": 9001, "logLevel": "warn" }');
    expect(loadConfig({ dataDir }, {})).toMatchObject({ port: 9001, logLevel: 'warn', host: '127.0.0.1' });
    expect(loadConfig({ dataDir }, { CUBIT_PORT: '9002' }).port).toBe(9002);
    expect(loadConfig({ dataDir, port: '9003' }, { CUBIT_PORT: '9002' }).port).toBe(9003);
    const { dataDir: own, cacheDir } = loadConfig({}, { XDG_DATA_HOME: '', XDG_CACHE_HOME: '' });
    expect([own, cacheDir].every((path) => isAbsolute(path))).toBe(true);
  });

  it('names the setting and where it came from, in one line', () => {
    const dataDir = folder();
    const fault = (flags: object, env: NodeJS.ProcessEnv) => {
      try {
        loadConfig({ dataDir, ...flags }, env);
      } catch (error) {
        return (error as Error).message;
      }
      return 'accepted';
    };
    expect(fault({}, { CUBIT_DATABASE_URL: 'postgres://u:p@db.internal:5432/cubit' })).toBe('accepted');
    expect(fault({}, { CUBIT_PORT: 'eighty' })).toMatch(/CUBIT_PORT: port/);
    expect(fault({ port: '70000' }, {})).toMatch(/--port has to be a whole number from 0 to 65535/);
    expect(fault({ port: '' }, {})).toMatch(/--port has to be/);
    expect(fault({ dataDir: '' }, {})).toMatch(/--data has to be said/);
    expect(fault({}, { CUBIT_DEMO: 'maybe', CUBIT_LOG_LEVEL: 'loud' })).toMatch(/CUBIT_LOG_LEVEL: .*CUBIT_DEMO: /);
    expect(fault({}, { CUBIT_ACCESS: 'closed' })).toMatch(/CUBIT_ACCESS: access has to be open or by_application/);
    expect(fault({}, { CUBIT_QUOTA_UNITS: '-1' })).toMatch(/CUBIT_QUOTA_UNITS: quotaUnits has to be a whole number/);
    for (const port of [null, true, '', '0x10', 1.5, -1]) {
      writeFileSync(join(dataDir, 'config.json'), JSON.stringify({ port }));
      expect(fault({}, {}), String(port)).toMatch(/config\.json: port has to be a whole number/);
    }
    expect(fault({}, { CUBIT_DATABASE_URL: 'mysql://x' })).toMatch(/CUBIT_DATABASE_URL: databaseUrl has to be like/);
    expect(fault({}, { CUBIT_BILL_ISSUE_DELAY_MS: '1' })).toMatch(/CUBIT_BILL_ISSUE_DELAY_MS/);
    writeFileSync(join(dataDir, 'config.json'), '{ "prot": 1 }');
    expect(fault({}, {})).toMatch(/config\.json: there is no setting prot/);
    writeFileSync(join(dataDir, 'config.json'), '{ port: 1 }');
    expect(fault({}, {})).toMatch(/config\.json is not valid/);
    expect(fault({}, {})).not.toMatch(/\n/);
  });
});
