import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../cubit.ts', import.meta.url));
const sample = fileURLToPath(new URL('../../evaluate/engine/samples/rtx4090-llama-3.1-8b', import.meta.url));

function cubit(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, 'evaluate', 'simulator', ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('prints the errors of a bundle as JSON, and as a table', async () => {
  const json = await cubit('--bundle', sample, '--json');
  expect(json).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(json.stdout)).toMatchObject({
    ttftMeanErrPct: expect.any(Number),
    tpotMeanErrPct: expect.any(Number),
    e2eMeanErrPct: expect.any(Number),
    wallMs: expect.any(Number),
  });
  const { code, stdout } = await cubit('--bundle', sample, '--calibrate');
  expect(code).toBe(0);
  expect(stdout).toMatch(/300 requests[\s\S]*from specifications, ms[\s\S]*calibrated on the first 90/);
});

test('says what is wrong with the command line and its files', async () => {
  expect(await cubit('--bundle', '/nowhere')).toMatchObject({ code: 2, stderr: expect.stringMatching(/config\.json/) });
  expect(await cubit('--bundle', sample, '--tflops', '-1')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/above 0/),
  });
  expect((await cubit('--bundle', sample, '--calibrate', '1.5')).stderr).toMatch(/share above 0 and below 1/);
  const model = await cubit('--bundle', sample, '--model-config', program);
  expect(model).toMatchObject({ code: 2, stderr: expect.stringMatching(/not a JSON object/) });
});
