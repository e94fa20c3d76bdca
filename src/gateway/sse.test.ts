import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FrameKind, FrameSplitter, frameOf, jsonOf, kindOf } from './sse.ts';
import { hasContent, usageOf } from './usage.ts';

const RECORDED = readFileSync(new URL('../../test/recorded/vllm-0.32/stream.txt', import.meta.url));

function split(...chunks: Uint8Array[]): Buffer[] {
  const splitter = new FrameSplitter(1_000_000);
  const frames = chunks.flatMap((chunk) => splitter.push(chunk));
  const rest = splitter.end();
  return rest === null ? frames : [...frames, rest];
}

describe('FrameSplitter', () => {
  it('gives the same frames of a recorded vLLM stream wherever it is cut in two', () => {
    const whole = split(RECORDED);
    expect(Buffer.concat(whole).equals(RECORDED)).toBe(true);
    for (let cut = 0; cut <= RECORDED.length; cut += 1) {
      const frames = split(RECORDED.subarray(0, cut), RECORDED.subarray(cut));
      if (frames.length !== whole.length || frames.some((frame, i) => !frame.equals(whole[i]!))) {
        throw new Error(`other frames when cut at byte ${cut}`);
      }
    }
  });

  it('gives the same frames when it comes byte by byte', () => {
    const bytes = Array.from(RECORDED, (_, at) => RECORDED.subarray(at, at + 1));
    expect(split(...bytes)).toEqual(split(RECORDED));
  });

  it('knows both line ends, comments, and an end without a blank line', () => {
    const stream = ': ping\r\n\r\ndata: {"a":1}\r\n\r\nevent: x\ndata: {"b":2}\n\ndata: [DONE]\n';
    const cutAnywhere = fc
      .array(fc.nat(stream.length))
      .map((cuts) => [0, ...cuts.toSorted((a, b) => a - b), stream.length]);
    fc.assert(
      fc.property(cutAnywhere, (cuts) => {
        const chunks = cuts.slice(1).map((end, i) => Buffer.from(stream.slice(cuts[i], end)));
        expect(split(...chunks).map(kindOf)).toEqual(['comment', 'other', 'other', 'done']);
      }),
    );
  });

  it('refuses a frame without end', () => {
    const splitter = new FrameSplitter(100);
    splitter.push(Buffer.alloc(90, 'x'));
    expect(() => splitter.push(Buffer.alloc(11, 'x'))).toThrow('too large');
  });
});

describe('kindOf', () => {
  it('reads the recorded stream: role, 44 tokens and more, finish, usage, done', () => {
    const kinds = split(RECORDED).map(kindOf);
    const count = (kind: FrameKind) => kinds.filter((one) => one === kind).length;
    expect(kinds.slice(-3)).toEqual(['finish', 'usage', 'done']);
    expect([count('content'), count('finish'), count('usage'), count('done')]).toEqual([kinds.length - 3, 1, 1, 1]);
    const frames = split(RECORDED);
    expect(usageOf(jsonOf(frames.at(-2)!))).toEqual({ promptTokens: 37, cachedTokens: 0, outputTokens: 45 });
    expect(frames.slice(0, 2).map((frame) => hasContent(jsonOf(frame)))).toEqual([false, true]);
  });

  const choice = (fields: object) => ({ choices: [{ index: 0, ...fields }] });
  it.each<[string, unknown, FrameKind]>([
    ['a token', choice({ delta: { content: 'x' }, finish_reason: null }), 'content'],
    [
      'text that looks like an end',
      choice({ delta: { content: '"finish_reason":"stop"' }, finish_reason: null }),
      'content',
    ],
    ['text that looks like no choices', choice({ delta: { content: '"choices":[]' } }), 'content'],
    ['an empty finish reason', choice({ text: 'x', finish_reason: '' }), 'content'],
    ['a finish reason', choice({ text: '', finish_reason: 'length' }), 'finish'],
    ['usage', { choices: [], usage: { prompt_tokens: 1 } }, 'usage'],
    ['an error', { error: { message: 'x' } }, 'other'],
  ])('%s', (_, value, kind) => {
    expect(kindOf(frameOf(value))).toBe(kind);
    // Python writes spaces after colons.
    expect(kindOf(Buffer.from(`data: ${JSON.stringify(value, null, 1).replaceAll('\n', '')}\n\n`))).toBe(kind);
  });

  it('takes no JSON for what it is', () => {
    expect(() => jsonOf(Buffer.from('data: {"a":\n\n'))).toThrow('not JSON');
    expect(() => jsonOf(Buffer.from('data: 7\n\n'))).toThrow('not an object');
  });
});
