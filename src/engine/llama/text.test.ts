import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextAssembler } from './text.ts';

/** A tokenizer whose tokens are the bytes of UTF-8: the hardest case for whole characters. */
function bytesToText(tokens: readonly number[]): string {
  return Buffer.from(tokens).toString('utf8');
}

function run(text: string, stops: readonly string[] = []): { pieces: string[]; stopped: boolean } {
  const assembler = new TextAssembler<number>((tokens) => bytesToText(tokens), stops);
  const pieces: string[] = [];
  for (const byte of Buffer.from(text)) {
    const { text: piece, stopped } = assembler.push(byte);
    pieces.push(piece);
    if (stopped) return { pieces, stopped };
  }
  return { pieces: [...pieces, assembler.end()], stopped: false };
}

describe('TextAssembler', () => {
  it('never emits part of a character', () => {
    const { pieces } = run('aé漢👩‍🚀z');
    expect(pieces.join('')).toBe('aé漢👩‍🚀z');
    expect(pieces.every((piece) => piece.isWellFormed() && !piece.includes('\uFFFD'))).toBe(true);
  });

  it('drops a character that the end cuts off', () => {
    const assembler = new TextAssembler<number>(bytesToText);
    const text = [...Buffer.from('ok👍').subarray(0, 5)].map((byte) => assembler.push(byte).text).join('');
    expect(text + assembler.end()).toBe('ok');
  });

  it('gives up on bytes that never become a character', () => {
    const assembler = new TextAssembler<number>(bytesToText);
    const text = Array.from({ length: 16 }, () => assembler.push(0xff).text).join('');
    expect(text.length).toBeGreaterThan(0);
  });

  it('holds back what may begin a stop string, and releases it when it does not', () => {
    expect(run('one ST two', ['STOP']).pieces.join('')).toBe('one ST two');
    const { pieces, stopped } = run('one STOP two', ['STOP']);
    expect(stopped).toBe(true);
    expect(pieces.join('')).toBe('one ');
  });

  it('releases a held beginning at the end', () => {
    expect(run('abc ST', ['STOP']).pieces.join('')).toBe('abc ST');
  });

  it('stops at the earliest of several stop strings', () => {
    expect(run('a b c', ['c', 'b']).pieces.join('')).toBe('a ');
  });

  it('finds stop strings of more than one byte per sign', () => {
    expect(run('漢字。次', ['。']).pieces.join('')).toBe('漢字');
  });

  it('gives exactly the text before the first stop string, whatever the text', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', '漢'), maxLength: 30 });
    const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(letters, fc.array(stop, { maxLength: 4 }), (text, stops) => {
        const found = stops.map((one) => text.indexOf(one)).filter((at) => at !== -1);
        // The stop that is complete first in reading order wins; of those, the one that begins first.
        const complete = stops.filter((one) => text.includes(one)).map((one) => text.indexOf(one) + one.length);
        const { pieces, stopped } = run(text, stops);
        expect(stopped).toBe(found.length > 0);
        const out = pieces.join('');
        expect(text.startsWith(out)).toBe(true);
        if (!stopped) expect(out).toBe(text);
        else expect(out.length).toBeLessThan(Math.min(...complete));
        expect(stops.some((one) => out.includes(one))).toBe(false);
      }),
    );
  });
});
