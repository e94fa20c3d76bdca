import { createHmac } from 'node:crypto';
import type { Message } from './message.ts';
import { textOf } from './message.ts';

/**
 * Webhooks as the Standard Webhooks specification has them: `webhook-id`, `webhook-timestamp` (seconds) and
 * `webhook-signature`, an HMAC-SHA256 over `id.timestamp.body` in base64 behind `v1,`, one for each secret.
 */
const SECRET_PREFIX = 'whsec_';

/** `whsec_` and the key's bytes in base64. */
export function webhookSecret(bytes: Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(bytes).toString('base64');
}

export function webhookBody(message: Message): string {
  const { id, tenantId, kind, subject, dueAtMs, detail } = message;
  const { title, body: text } = textOf(message);
  const data = { noticeId: id, tenantId, kind, subject, dueAtMs, title, text, detail };
  return JSON.stringify({ type: `notice.${kind}`, timestamp: new Date(dueAtMs).toISOString(), data });
}

export function webhookHeaders(
  sent: { readonly id: string; readonly nowMs: number; readonly body: string },
  secrets: readonly string[],
): Record<string, string> {
  const timestamp = String(Math.floor(sent.nowMs / 1000));
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
    return `v1,${createHmac('sha256', key).update(`${sent.id}.${timestamp}.${sent.body}`).digest('base64')}`;
  });
  return {
    'content-type': 'application/json',
    'user-agent': 'cubit',
    'webhook-id': sent.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}
