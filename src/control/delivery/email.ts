import { createTransport } from 'nodemailer';
import { type Message, type Sent, textOf } from './message.ts';

export interface SmtpSettings {
  /** `smtp://user:password@host:587` (STARTTLS where offered) or `smtps://…:465`. */
  readonly url: string;
  readonly from: string;
}

export type SendEmail = (recipients: readonly string[], message: Message) => Promise<Sent>;

/** Sends by the platform's SMTP server, a connection a message. */
export function emailSender({ url, from }: SmtpSettings, timeoutMs: number): SendEmail {
  const server = new URL(url);
  const secure = server.protocol === 'smtps:';
  const user = decodeURIComponent(server.username);
  const transport = createTransport({
    host: server.hostname.replace(/^\[|\]$/g, ''),
    port: server.port === '' ? (secure ? 465 : 587) : Number(server.port),
    secure,
    ...(user === '' ? {} : { auth: { user, pass: decodeURIComponent(server.password) } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = /@([^\s>]+)/.exec(from)?.[1] ?? 'localhost';
  return async (recipients, message) => {
    const { title, body } = textOf(message);
    const subject = `[Cubit] ${title}`;
    const footer = `${message.id} · ${message.tenantId}`;
    const mail = {
      from,
      to: [...recipients],
      subject,
      text: `${body}\n\n-- \n${footer}\n`,
      html: htmlOf(message.language, { title, body, footer }),
      // The same at every attempt, so that mailboxes can tell a repetition.
      messageId: `<${message.id}@${domain}>`,
      headers: { 'Auto-Submitted': 'auto-generated' },
    };
    try {
      const { rejected } = await transport.sendMail(mail);
      return rejected.length === 0 ? { ok: true } : failed(`The server refused ${rejected.join(', ')}.`, true);
    } catch (error) {
      const { responseCode, message: said } = error as { responseCode?: number; message: string };
      return failed(said, responseCode !== undefined && responseCode >= 550 && responseCode < 560);
    }
  };
}

function failed(failure: string, permanent: boolean): Sent {
  return { ok: false, failure, permanent };
}

function htmlOf(language: string, parts: { title: string; body: string; footer: string }): string {
  const [title, body, footer] = [parts.title, parts.body, parts.footer].map(escapeHtml);
  return `<!doctype html><html lang="${language}"><meta charset="utf-8"><title>${title}</title><body style="font-family:sans-serif"><h1 style="font-size:1.2em">${title}</h1><p>${body}</p><p style="color:#666">${footer}</p></body></html>`;
}

function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (sign) => names[sign] ?? sign);
}
