import type { Language, NoticeKind } from '../../core/commerce/notice.ts';
import { noticeText } from '../../core/commerce/notice-text.ts';

/** What is sent to a channel. */
export interface Message {
  /** The notice's: the same at every attempt, so that receivers can tell a repetition. */
  readonly id: string;
  readonly tenantId: string;
  readonly kind: NoticeKind | 'test';
  readonly subject: string;
  readonly dueAtMs: number;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly language: Language;
  /** IANA; times in the text are of this zone. */
  readonly zone: string;
}

export function textOf(message: Message) {
  return noticeText(message, message);
}

/** Where a message goes. */
export type Target =
  | {
      readonly kind: 'webhook';
      readonly url: string;
      /** `whsec_…`; while a secret is being changed, the one before as well. */
      readonly secrets: readonly string[];
    }
  | { readonly kind: 'email'; readonly recipients: readonly string[] };

export type Sent =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** For people. */
      readonly failure: string;
      /** Another attempt would end the same. */
      readonly permanent: boolean;
    };

/** Sends messages; the control plane's only way out to addresses that tenants choose. */
export interface Sender {
  readonly offersEmail: boolean;
  /** Refuses a URL that will never be called. Throws `invalid_request`. */
  checkUrl(url: string): void;
  /** One attempt, bounded in time. Never throws. */
  send(target: Target, message: Message, at: { readonly nowMs: number; readonly signal: AbortSignal }): Promise<Sent>;
  close(): Promise<void>;
}
