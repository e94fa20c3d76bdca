import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KvStates } from './kv-state.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cubit-kv-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A sequence whose state is a text. */
function sequence(text = '') {
  const it = {
    text,
    saveStateToFile: async (path: string) => {
      writeFileSync(path, it.text);
      return { fileSize: it.text.length };
    },
    clearHistory: async () => {
      it.text = '';
    },
    loadStateFromFile: async (path: string) => {
      const read = readFileSync(path, 'utf8');
      if (read === 'garbage') throw new Error('bad magic');
      it.text = read;
    },
  };
  return it;
}

describe('KvStates', () => {
  it('hands a state over once, and leaves nothing behind', async () => {
    const name = await new KvStates(folder).give(sequence('a prompt'));
    const decode = sequence('what it held before');
    await new KvStates(folder).take(decode, name);
    expect(decode.text).toBe('a prompt');
    expect(readdirSync(folder)).toEqual([]);
    await expect(new KvStates(folder).take(sequence(), name)).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('gives a state to one of two that ask for it at once', async () => {
    const states = new KvStates(folder);
    const name = await states.give(sequence('a prompt'));
    const asked = await Promise.allSettled([states.take(sequence(), name), states.take(sequence(), name)]);
    expect(asked.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('removes a state that cannot be read, with an error', async () => {
    const states = new KvStates(folder);
    const name = await states.give(sequence('garbage'));
    await expect(states.take(sequence(), name)).rejects.toMatchObject({ code: 'engine_failed' });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves no part of a state that could not be written', async () => {
    const full = {
      saveStateToFile: async (path: string) => {
        writeFileSync(path, 'half');
        throw new Error('ENOSPC');
      },
    };
    await expect(new KvStates(folder).give(full)).rejects.toMatchObject({ code: 'engine_failed' });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('refuses more bytes than may wait, until what waits is taken or too old', async () => {
    const states = new KvStates(folder, { bytesMax: 8, ageMsMax: 60_000 });
    const first = await states.give(sequence('12345678'));
    await expect(states.give(sequence('9'))).rejects.toMatchObject({ code: 'engine_unavailable' });
    await states.take(sequence(), first);
    const second = await states.give(sequence('12345678'));
    utimesSync(join(folder, `${second}.kv`), 0, 0);
    await states.give(sequence('9'));
    expect(states.sweep()).toBe(1);
  });
});
