import { describe, expect, it } from 'vitest';
import { CubitError } from '../../core/errors.ts';
import { transportError, upstreamError } from './errors.ts';

describe('upstreamError', () => {
  it.each([
    [400, { error: { message: 'bad temperature', code: 400 } }, 'invalid_request'],
    [400, { error: { message: 'x', code: 'context_length_exceeded' } }, 'context_length_exceeded'],
    [400, { error: { message: "This model's maximum context length is 2048 tokens." } }, 'context_length_exceeded'],
    [400, { error: { message: 'too big', type: 'exceed_context_size_error' } }, 'context_length_exceeded'],
    [400, { error: { message: 'no tools', code: 'unsupported_feature' } }, 'unsupported_feature'],
    [400, { object: 'error', message: 'bad' }, 'invalid_request'],
    [401, { error: { message: 'wrong key sk-secret' } }, 'engine_failed'],
    [404, { error: { message: 'no such model' } }, 'engine_failed'],
    [429, {}, 'engine_unavailable'],
    [503, {}, 'engine_unavailable'],
    [500, {}, 'engine_failed'],
    [504, {}, 'engine_timeout'],
  ] as const)('maps %i %j', (status, body, code) => {
    expect(upstreamError(status, JSON.stringify(body)).code).toBe(code);
  });

  it('tells the client what it did wrong, and nothing else', () => {
    const wrong = upstreamError(400, JSON.stringify({ error: { message: 'bad top_p', param: 'top_p' } }));
    expect([wrong.message, wrong.details]).toEqual(['bad top_p', { param: 'top_p' }]);
    expect(upstreamError(401, JSON.stringify({ error: { message: 'key sk-secret' } })).message).not.toContain('secret');
  });

  it('gives the log a status and a code, and nothing that may quote the prompt', () => {
    for (const status of [400, 401, 500]) {
      const { cause } = upstreamError(status, JSON.stringify({ error: { message: 'near "my prompt"', type: 'oops' } }));
      expect(String(cause)).toBe(`Error: upstream answered ${status} oops`);
    }
    expect(String(upstreamError(500, 'Traceback: my prompt').cause)).toBe('Error: upstream answered 500');
  });

  it('reads answers that are no JSON', () => {
    expect(upstreamError(400, '<html>').code).toBe('invalid_request');
    expect(upstreamError(502, '<html>').code).toBe('engine_failed');
  });
});

describe('transportError', () => {
  const { signal } = new AbortController();
  it.each([
    ['ECONNREFUSED', 'engine_unavailable'],
    ['ENOENT', 'engine_unavailable'],
    ['UND_ERR_HEADERS_TIMEOUT', 'engine_timeout'],
    ['UND_ERR_BODY_TIMEOUT', 'engine_timeout'],
    ['UND_ERR_SOCKET', 'engine_failed'],
    ['ECONNRESET', 'engine_failed'],
  ])('maps %s', (code, expected) => {
    expect(transportError(Object.assign(new Error('x'), { code }), signal).code).toBe(expected);
  });

  it('gives the reason of an abort back', () => {
    const abort = new AbortController();
    const reason = new CubitError('engine_timeout', 'late');
    abort.abort(reason);
    expect(transportError(new Error('x'), abort.signal)).toBe(reason);
  });
});
