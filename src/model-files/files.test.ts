import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { smolMatrices } from '../../test/smol-matrices.ts';
import { ARCHITECTURE } from '../control/fixture.ts';
import { readNetworks } from '../public-address.ts';
import { createDownload } from './download.ts';
import { adapterAt, ModelFiles } from './files.ts';
import { readGguf } from './gguf.ts';
import { writeAdapter } from './write-adapter.ts';

const root = mkdtempSync(join(tmpdir(), 'cubit-test-'));
const allowed = join(root, 'allowed');
mkdirSync(allowed);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const good = join(allowed, 'good.gguf');
const options = { rank: 8, alpha: 16, seed: 1, scale: 0.01 };
await writeAdapter(good, smolMatrices(), options);
const sha256 = createHash('sha256').update(readFileSync(good)).digest('hex');

function files(bytesMax = 2 ** 30, allow = '') {
  const download = createDownload(readNetworks(allow, 'modelAllow'));
  return new ModelFiles({ folder: join(root, 'kept'), allowedFolders: [allowed], bytesMax, download });
}
const take = (source: string, more: object = {}) =>
  files().take({ kind: 'lora', source, sha256: null, base: ARCHITECTURE, ...more });

describe('an adapter in a GGUF file', () => {
  it('is read: rank, alpha, hash', async () => {
    expect(await take(good)).toMatchObject({ format: 'gguf', path: good, sha256, adapter: { rank: 8, alpha: 16 } });
  });

  it.each<[string, (path: string) => Promise<void> | void, RegExp]>([
    ['is no GGUF', (path) => writeFileSync(path, 'x'.repeat(100)), /no GGUF file/],
    ['is cut short', (path) => writeFileSync(path, readFileSync(good).subarray(0, 900)), /cut short/],
    ['is empty', (path) => writeFileSync(path, ''), /no GGUF file/],
    [
      'claims too much',
      (path) => {
        const bytes = Buffer.from(readFileSync(good));
        bytes.writeBigUInt64LE(2n ** 60n, 8);
        writeFileSync(path, bytes);
      },
      /claims/,
    ],
    ['has too many layers', (path) => write(path, 'blk.30.attn_q.weight', 576, 576), /layer 30; the base model has 30/],
    ['has other shapes', (path) => write(path, 'blk.0.attn_q.weight', 576, 512), /576 × 512; .* 576 × 576/],
    ['changes what none may', (path) => write(path, 'blk.0.attn_norm.weight', 576, 576), /no matrix that adapters/],
    ['has no alpha', (path) => writeAdapter(path, smolMatrices(), { ...options, alpha: 0 }), /alpha has to be above 0/],
    ['has rank 0', (path) => writeAdapter(path, smolMatrices(), { ...options, rank: 0 }), /rank 0/],
  ])('that %s is refused with the reason', async (name, make, reason) => {
    const path = join(allowed, `${name}.gguf`);
    await make(path);
    await expect(take(path)).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringMatching(reason) });
  });

  it('survives any byte changed in its head', async () => {
    const bytes = readFileSync(good).subarray(0, 12_000);
    for (let at = 0; at < bytes.length; at += 37) {
      const changed = Buffer.from(bytes);
      changed[at] = 255 - (changed[at] ?? 0);
      try {
        readGguf(changed);
      } catch (error) {
        expect((error as Error).name).toBe('Faulty');
      }
    }
  });

  it('is no whole model, and a whole model no adapter', async () => {
    await expect(take(good, { kind: 'full' })).rejects.toThrow('general.type is adapter, not model');
  });
});

const write = (path: string, name: string, inputs: number, outputs: number) =>
  writeAdapter(path, [{ name, inputs, outputs }], options);

describe('an adapter in PEFT’s layout', () => {
  const folder = join(allowed, 'peft');
  mkdirSync(folder);
  const config = (changes: object = {}) =>
    writeFileSync(
      join(folder, 'adapter_config.json'),
      JSON.stringify({ peft_type: 'LORA', r: 4, lora_alpha: 8, ...changes }),
    );
  const tensors = (shapes: Record<string, number[]>) => {
    const head = JSON.stringify(
      Object.fromEntries(
        Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'BF16', shape, data_offsets: [0, 0] }]),
      ),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(head.length));
    writeFileSync(join(folder, 'adapter_model.safetensors'), Buffer.concat([length, Buffer.from(head)]));
  };
  const name = (side: string) => `base_model.model.model.layers.3.self_attn.q_proj.lora_${side}.weight`;

  it('is read, and refused when its files do not agree', async () => {
    config();
    tensors({ [name('A')]: [4, 576], [name('B')]: [576, 4] });
    expect(await take(folder)).toMatchObject({ format: 'peft', path: folder, adapter: { rank: 4, alpha: 8 } });
    config({ r: 8 });
    await expect(take(folder)).rejects.toThrow('says rank 8, its matrices have 4');
    config({ peft_type: 'IA3' });
    await expect(take(folder)).rejects.toThrow('IA3, not LORA');
    config();
    tensors({ [name('A')]: [4, 576] });
    await expect(take(folder)).rejects.toThrow('only one of its two');
    tensors({ [name('A')]: [4, 576], [name('B')]: [576, 5] });
    await expect(take(folder)).rejects.toThrow('rank 4 in A and 5 in B');
    writeFileSync(join(folder, 'adapter_model.safetensors'), 'short');
    await expect(take(folder)).rejects.toThrow('no safetensors');
    rmSync(join(folder, 'adapter_config.json'));
    await expect(take(folder)).rejects.toThrow('no adapter_config.json');
  });
});

describe('where models may come from', () => {
  it('paths: the operator’s folders only, links followed; none tells what exists elsewhere', async () => {
    const outside = join(root, 'outside.gguf');
    writeFileSync(outside, 'x');
    symlinkSync(outside, join(allowed, 'link.gguf'));
    for (const source of [outside, join(allowed, 'link.gguf'), join(allowed, '../outside.gguf'), '/nothing', allowed]) {
      await expect(take(source), source).rejects.toThrow('no such file in the folders');
    }
    await expect(take('relative.gguf')).rejects.toThrow('absolute');
    await expect(
      files(100).take({ kind: 'lora', source: good, sha256: null, base: ARCHITECTURE }),
    ).rejects.toMatchObject({
      code: 'body_too_large',
    });
    await expect(take(good, { sha256: '0'.repeat(64) })).rejects.toThrow(`its sha256 is ${sha256}`);
  });

  it('URLs: https with a hash, and never an address inside', async () => {
    const hash = { sha256: '0'.repeat(64) };
    for (const source of ['http://example.com/a.gguf', 'file:///etc/passwd', 'ftp://x/y']) {
      await expect(take(source, hash)).rejects.toThrow('https://');
    }
    await expect(take('https://example.com/a.gguf')).rejects.toThrow('sha256');
    for (const host of ['127.0.0.1', '[::1]', '169.254.169.254', '10.0.0.1', 'localhost']) {
      const refused = take(`https://${host}:9/a.gguf`, hash);
      await expect(refused, host).rejects.toMatchObject({ code: 'invalid_request' });
    }
  });
});

describe('an adapter of the operator’s own', () => {
  it('is read wherever it is; what does not fit its base is told', async () => {
    expect(await adapterAt(good, ARCHITECTURE)).toEqual({ rank: 8, alpha: 16 });
    await expect(adapterAt(join(root, 'none'), ARCHITECTURE)).rejects.toMatchObject({ code: 'not_found' });
    await expect(adapterAt(root, ARCHITECTURE)).rejects.toThrow('no adapter_model.safetensors');
    const other = { ...ARCHITECTURE, hiddenSize: 512 };
    await expect(adapterAt(good, other)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/576 × 576; the base model's is 512/),
    });
  });
});
