import { z } from 'zod';

/**
 * How a prompt's KV state goes from a prefill to a decode worker, in the field that vLLM has for it
 * (`kv_transfer_params`), so that a gateway speaks to both alike: prefill is asked with `do_remote_decode`, answers with
 * parameters, and these are copied into the call of decode. The first token goes along: evaluating the last prompt token
 * a second time, in a batch of another size, would round otherwise than a single worker does.
 */
export const TransferParams = z.union([
  z.object({ do_remote_decode: z.literal(true) }),
  z.object({
    do_remote_prefill: z.literal(true),
    remote_state: z.uuid(),
    first_token: z.int().nonnegative(),
    cached_tokens: z.int().nonnegative(),
  }),
]);

export type Transfer =
  | { readonly kind: 'give' }
  | { readonly kind: 'take'; readonly state: string; readonly firstToken: number; readonly cachedTokens: number };

export function transferOf(params: z.output<typeof TransferParams>): Transfer {
  if ('do_remote_decode' in params) return { kind: 'give' };
  const { remote_state: state, first_token: firstToken, cached_tokens: cachedTokens } = params;
  return { kind: 'take', state, firstToken, cachedTokens };
}

/** What a prefill worker answers: the parameters that a decode worker takes. */
export function paramsOf(take: Omit<Extract<Transfer, { kind: 'take' }>, 'kind'>): z.input<typeof TransferParams> {
  return {
    do_remote_prefill: true,
    remote_state: take.state,
    first_token: take.firstToken,
    cached_tokens: take.cachedTokens,
  };
}
