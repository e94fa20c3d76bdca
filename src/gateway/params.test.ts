import { describe, expect, it } from 'vitest';
import { CubitError } from '../core/errors.ts';
import type { EngineDialect, InferenceKind } from '../engine/port.ts';
import { served } from './fixture.ts';
import { type Checked, check } from './params.ts';

const CAPABILITIES = served().capabilities;
const knownFields = (dialect: EngineDialect) => new Set(dialect === 'vllm' ? ['top_k', 'min_p'] : ['top_k']);
const HI = [{ role: 'user', content: 'hi' }];
const REQUIRED = { chat: { messages: HI }, completion: { prompt: 'hi' }, embedding: { input: 'hi' } };

function run(kind: InferenceKind, body: object, capabilities = CAPABILITIES): Checked {
  const options = { capabilities, extras: new Set(['top_k']), knownFields };
  return check(kind, { model: 'demo', ...REQUIRED[kind], ...body }, options);
}

function refusal(kind: InferenceKind, body: object): { code: string; params: unknown; message: string } {
  try {
    run(kind, body);
  } catch (error) {
    if (!(error instanceof CubitError)) throw error;
    return { code: error.code, params: error.details['params'] ?? error.details['param'], message: error.message };
  }
  throw new Error('It was not refused.');
}

describe('check', () => {
  it.each([
    [
      'sampling',
      'chat',
      { temperature: 0, top_p: 1, seed: -3, stop: ['a', 'b'], presence_penalty: -2, logit_bias: { 5: -100 } },
    ],
    ['an extra its engine knows', 'chat', { top_k: 40 }],
    ['dimensions', 'embedding', { dimensions: 8, encoding_format: 'base64' }],
  ] as const)('passes %s', (_, kind, body) => {
    expect(run(kind, body).body).toEqual({ ...REQUIRED[kind], ...body });
  });

  it.each([
    [
      'bookkeeping',
      'chat',
      { user: 'u', metadata: {}, store: true, service_tier: 'auto', safety_identifier: 's', prompt_cache_key: 'k' },
    ],
    [
      'features that are off',
      'chat',
      { tools: [], tool_choice: 'none', functions: [], logprobs: false, top_logprobs: 0, n: 1 },
    ],
    [
      'defaults',
      'chat',
      { response_format: { type: 'text' }, modalities: ['text'], reasoning_effort: 'none', verbosity: 'medium' },
    ],
    [
      'Ark and Databricks fields',
      'chat',
      { thinking: { type: 'disabled' }, client_request_id: 'x', usage_context: {} },
    ],
    [
      'engine fields that are dangerous',
      'chat',
      {
        kv_transfer_params: { do_remote_prefill: true },
        bootstrap_host: 'h',
        bootstrap_port: 1,
        bootstrap_room: 2,
        cache_salt: 's',
      },
    ],
    ['completion defaults', 'completion', { best_of: 1, echo: false, suffix: '', n: 1, cache_salt: 's' }],
  ] as const)('drops %s', (_, kind, body) => {
    expect(run(kind, body).body).toEqual(REQUIRED[kind]);
  });

  it('names every parameter it cannot honour', () => {
    const body = {
      tools: [{}],
      tool_choice: 'auto',
      functions: [{}],
      logprobs: true,
      top_logprobs: 2,
      n: 2,
      response_format: { type: 'json_object' },
      audio: {},
      modalities: ['audio'],
      prediction: {},
      reasoning_effort: 'high',
      web_search_options: {},
      min_p: 0.1,
    };
    const { code, params, message } = refusal('chat', body);
    expect(code).toBe('unsupported_feature');
    expect(params).toEqual(Object.keys(body));
    for (const name of Object.keys(body)) expect(message).toContain(name);
    expect(refusal('completion', { best_of: 3, echo: true, suffix: 'x', logprobs: 0 })).toMatchObject({
      code: 'unsupported_feature',
      params: ['best_of', 'echo', 'suffix', 'logprobs'],
    });
  });

  it('names every parameter that nobody knows', () => {
    expect(refusal('chat', { temprature: 1, constructor: 1 })).toMatchObject({
      code: 'invalid_request',
      params: ['temprature', 'constructor'],
    });
    expect(refusal('embedding', { stream: true, max_tokens: 1 })).toMatchObject({ params: ['stream', 'max_tokens'] });
  });

  it.each<[InferenceKind, string, unknown]>([
    ['chat', 'temperature', 2.1],
    ['chat', 'temperature', '1'],
    ['chat', 'top_p', -0.1],
    ['chat', 'max_tokens', 0],
    ['chat', 'max_tokens', 1.5],
    ['chat', 'max_tokens', 1e300],
    ['chat', 'max_completion_tokens', -1],
    ['chat', 'n', 0],
    ['chat', 'n', 'many'],
    ['chat', 'stop', ['a', 'b', 'c', 'd', 'e']],
    ['chat', 'stop', [1]],
    ['chat', 'stream', 'yes'],
    ['chat', 'stream_options', { include_usage: 1 }],
    ['chat', 'seed', 0.5],
    ['chat', 'frequency_penalty', 3],
    ['chat', 'logit_bias', { a: 'x' }],
    ['chat', 'response_format', 'json'],
    ['chat', 'tools', {}],
    ['chat', 'user', 5],
    ['chat', 'metadata', []],
    ['chat', 'messages', []],
    ['chat', 'messages', 'hi'],
    ['chat', 'messages', [null]],
    ['chat', 'messages', [{ role: 'king', content: 'x' }]],
    ['chat', 'messages', [{ role: 'user' }]],
    ['chat', 'messages', [{ role: 'user', content: [] }]],
    ['chat', 'messages', [{ role: 'user', content: [{ type: 'text' }] }]],
    ['chat', 'messages', undefined],
    ['completion', 'prompt', ''],
    ['completion', 'prompt', []],
    ['completion', 'prompt', ['a', 1]],
    ['completion', 'prompt', [1, -1]],
    ['completion', 'prompt', [[]]],
    ['completion', 'prompt', {}],
    ['embedding', 'input', ['']],
    ['embedding', 'encoding_format', 'hex'],
    ['embedding', 'dimensions', 0],
  ])('%s: %s may not be %j', (kind, name, value) => {
    expect(refusal(kind, { [name]: value })).toMatchObject({ code: 'invalid_request', params: name });
  });

  it('takes images and tool messages for features, not for mistakes', () => {
    const image = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }];
    expect(refusal('chat', { messages: image })).toMatchObject({ code: 'unsupported_feature', params: ['messages'] });
    const tool = [{ role: 'tool', tool_call_id: 'x', content: 'y' }];
    expect(refusal('chat', { messages: tool })).toMatchObject({ code: 'unsupported_feature' });
  });

  it('allows what the model can do', () => {
    const able = { ...CAPABILITIES, tools: true, structuredOutput: true };
    const body = { tools: [{ type: 'function' }], tool_choice: 'auto', response_format: { type: 'json_object' } };
    expect(run('chat', body, able).body).toMatchObject(body);
    expect(() => run('chat', {}, { ...CAPABILITIES, chat: false })).toThrow('does not do chat');
  });

  it('gives messages to engines without nulls, and developer as system', () => {
    const messages = [
      { role: 'developer', content: 'be brief', name: null },
      { role: 'user', content: [{ type: 'text', text: 'hi' }] },
    ];
    expect(run('chat', { messages }).body['messages']).toEqual([{ role: 'system', content: 'be brief' }, messages[1]]);
  });

  it('reads what the gateway itself needs', () => {
    expect(
      run('chat', { stream: true, stream_options: { include_usage: true }, max_completion_tokens: 9 }),
    ).toMatchObject({
      stream: true,
      includeUsage: true,
      maxTokens: 9,
      body: { max_tokens: 9 },
    });
  });
});
