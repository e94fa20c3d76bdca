import { describe, expect, it } from 'vitest';
import { CubitError } from '../../core/errors.ts';
import { parseChat, parseCompletion, parseEmbedding } from './request.ts';

const messages = [{ role: 'user', content: 'hi' }];

function refusal(parse: () => unknown): { code: string; param: unknown } {
  try {
    parse();
  } catch (error) {
    if (error instanceof CubitError) return { code: error.code, param: error.details['param'] };
    throw error;
  }
  throw new Error('was not refused');
}

describe('parseChat', () => {
  it('takes explicit nulls as absent', () => {
    const nulls = Object.fromEntries(
      [
        'temperature',
        'top_p',
        'stop',
        'max_tokens',
        'n',
        'tools',
        'response_format',
        'stream_options',
        'logit_bias',
      ].map((field) => [field, null]),
    );
    expect(parseChat({ messages, ...nulls })).toEqual(parseChat({ messages }));
  });

  it('joins text parts and reads developer as system', () => {
    const content = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    expect(parseChat({ messages: [{ role: 'developer', content }] }).prompt).toEqual({
      messages: [{ role: 'system', content: 'a\nb' }],
    });
  });

  it('prefers max_completion_tokens, the newer name', () => {
    expect(parseChat({ messages, max_tokens: 5, max_completion_tokens: 7 }).outputTokensMax).toBe(7);
  });

  it.each([
    ['n', 2],
    ['tools', [{ type: 'function' }]],
    ['logprobs', true],
    ['response_format', { type: 'json_object' }],
  ])('refuses %s by name', (param, value) => {
    expect(refusal(() => parseChat({ messages, [param]: value }))).toEqual({ code: 'unsupported_feature', param });
  });

  it.each([
    ['n', 1],
    ['tools', []],
    ['logprobs', false],
    ['response_format', { type: 'text' }],
  ])('accepts %s where it changes nothing', (param, value) => {
    expect(parseChat({ messages, [param]: value })).toEqual(parseChat({ messages }));
  });

  it('refuses pictures', () => {
    const content = [{ type: 'image_url', image_url: { url: 'x' } }];
    expect(refusal(() => parseChat({ messages: [{ role: 'user', content }] })).code).toBe('unsupported_feature');
  });

  it.each([
    ['temperature', 'hot'],
    ['top_p', 2],
    ['stop', ['a', 'b', 'c', 'd', 'e']],
    ['max_tokens', 0],
  ])('names %s when it is wrong', (param, value) => {
    expect(refusal(() => parseChat({ messages, [param]: value }))).toEqual({ code: 'invalid_request', param });
  });
});

describe('parseCompletion', () => {
  it('takes text, a list of one text, and token ids', () => {
    expect(parseCompletion({ prompt: 'a' }).prompt).toEqual({ text: 'a' });
    expect(parseCompletion({ prompt: ['a'] }).prompt).toEqual({ text: 'a' });
    expect(parseCompletion({ prompt: [1, 2] }).prompt).toEqual({ text: [1, 2] });
  });
});

describe('parseEmbedding', () => {
  it('takes one or many, as text or token ids', () => {
    expect(parseEmbedding({ input: 'a' }).inputs).toEqual(['a']);
    expect(parseEmbedding({ input: ['a', 'b'] }).inputs).toEqual(['a', 'b']);
    expect(parseEmbedding({ input: [1, 2] }).inputs).toEqual([[1, 2]]);
    expect(parseEmbedding({ input: [[1], [2]] }).inputs).toEqual([[1], [2]]);
  });

  it('refuses dimensions', () => {
    expect(refusal(() => parseEmbedding({ input: 'a', dimensions: 64 }))).toEqual({
      code: 'unsupported_feature',
      param: 'dimensions',
    });
  });
});
