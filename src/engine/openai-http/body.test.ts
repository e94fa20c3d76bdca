import { describe, expect, it } from 'vitest';
import type { EngineRequest } from '../port.ts';
import { upstreamBody } from './body.ts';

function request(body: Record<string, unknown>, kind: EngineRequest['kind'] = 'chat'): EngineRequest {
  return { kind, body, requestId: 'req-1', cacheSalt: 'tenant' };
}

describe('upstreamBody', () => {
  it('never passes the fields by which engines talk to each other', () => {
    const body = upstreamBody(
      request({
        kv_transfer_params: { do_remote_prefill: true },
        bootstrap_host: 'x',
        bootstrap_room: 1,
        cache_salt: 'somebody else',
        temperature: 0,
      }),
      'm',
      'generic',
    );
    expect(body).toEqual({ model: 'm', temperature: 0 });
  });

  it('sets the salt where the server takes one', () => {
    expect(upstreamBody(request({ cache_salt: 'other' }), 'm', 'vllm')).toEqual({ model: 'm', cache_salt: 'tenant' });
    expect(upstreamBody(request({}), 'm', 'cubit')).toEqual({ model: 'm' });
  });

  it('asks for usage on streams, whatever the client said', () => {
    const streamed = request({ stream: true, stream_options: { include_usage: false, continuous_usage_stats: true } });
    expect(upstreamBody(streamed, 'm', 'generic')['stream_options']).toEqual({
      include_usage: true,
      continuous_usage_stats: true,
    });
    expect(upstreamBody(request({ stream: true, stream_options: null }), 'm', 'generic')['stream_options']).toEqual({
      include_usage: true,
    });
    expect(upstreamBody(request({}), 'm', 'generic')).not.toHaveProperty('stream_options');
  });
});
