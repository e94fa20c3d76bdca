import { Agent } from 'undici';
import { checkedLookup, checkWebhookUrl, readNetworks } from '../../public-address.ts';
import { emailSender, type SendEmail, type SmtpSettings } from './email.ts';
import type { Message, Sender, Sent, Target } from './message.ts';
import { webhookBody, webhookHeaders } from './webhook.ts';

export interface SenderSettings {
  /** Addresses and networks outside the public Internet that webhooks may reach; empty: none. */
  readonly webhookAllow: string;
  readonly smtp: SmtpSettings | null;
  /** For one attempt as a whole; 10 s unless told otherwise. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
/** What of an answer's body is read, so that its connection can be used again. */
const ANSWER_BYTES_MAX = 4096;
const ANSWER_MS_MAX = 1000;

/** Throws `config_invalid` for networks that are none. */
export function createSender(settings: SenderSettings): Sender {
  const { smtp, timeoutMs = TIMEOUT_MS } = settings;
  const allowed = readNetworks(settings.webhookAllow, 'webhookAllow');
  const agent = new Agent({
    connect: { lookup: checkedLookup(allowed), timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  const email = smtp === null ? null : emailSender(smtp, timeoutMs);

  const checkUrl = (text: string) => checkWebhookUrl(text, allowed);

  async function post(target: Target & { kind: 'webhook' }, message: Message, nowMs: number, signal: AbortSignal) {
    checkUrl(target.url);
    const url = new URL(target.url);
    const body = webhookBody(message);
    const answer = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'POST',
      headers: webhookHeaders({ id: message.id, nowMs, body }, target.secrets),
      body,
      signal,
    });
    const reading = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
    await answer.body.dump({ limit: ANSWER_BYTES_MAX, signal: reading }).catch(() => undefined);
    return answer.statusCode;
  }

  return {
    offersEmail: email !== null,
    checkUrl,
    async send(target, message, { nowMs, signal }) {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      if (target.kind === 'email') return sendEmail(email, target.recipients, message, bounded);
      try {
        return answered(await post(target, message, nowMs, bounded));
      } catch (error) {
        return { ok: false, failure: bounded.aborted ? tooSlow(timeoutMs) : reasonOf(error), permanent: false };
      }
    },
    close: () => agent.destroy(),
  };
}

/** Redirects are not followed: where one leads nobody has checked. */
function answered(status: number): Sent {
  if (status >= 200 && status < 300) return { ok: true };
  const hint = status >= 300 && status < 400 ? '; redirects are not followed' : '';
  return { ok: false, failure: `The receiver answered ${status}${hint}.`, permanent: false };
}

async function sendEmail(
  email: SendEmail | null,
  recipients: readonly string[],
  message: Message,
  signal: AbortSignal,
): Promise<Sent> {
  if (email === null)
    return { ok: false, failure: 'This installation has no SMTP server (smtpUrl).', permanent: false };
  const stopped = Promise.withResolvers<Sent>();
  const stop = () => stopped.resolve({ ok: false, failure: 'The SMTP server took too long.', permanent: false });
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([email(recipients, message), stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function tooSlow(timeoutMs: number): string {
  return `There was no answer within ${timeoutMs / 1000} s.`;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'The name of the receiver is not known.';
  if (code === 'ECONNREFUSED') return 'Nothing listens there.';
  return message;
}
