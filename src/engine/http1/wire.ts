/** What a connection tells of a request's answer. */
export interface AnswerHandler {
  /** It ended before it was sent: nobody waits for it. */
  readonly isOver: boolean;
  onRequestStart(controller: AnswerControl): void;
  onHead(status: number, contentType: string): void;
  /** All of a body that one read of the network brought. */
  onBody(part: Buffer): void;
  onEnd(): void;
  fail(error: unknown): void;
}

export interface AnswerControl {
  /** Ends the request and its connection; nothing more is told. */
  abort(reason: Error): void;
  pause(): void;
  resume(): void;
}

/** Of one server's pool. */
export interface PoolOptions {
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string };
  /** Open at once; what comes beyond them waits in turn. */
  readonly connectionsMax: number;
  /** Waiting for a connection; beyond it `engine_unavailable`. */
  readonly waitingMax: number;
  readonly connectMs: number;
  /** From sending to the head of the answer, and between two pieces of it. */
  readonly headersMs: number;
  readonly chunkMs: number;
}

/** A whole request as it goes out. */
export interface WireRequest {
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
}

/** What a connection asks of the pool that it belongs to. */
export interface ConnectionOwner<C> {
  readonly options: PoolOptions;
  /** The unit of its clock, and what it shows. */
  readonly tickMs: number;
  readonly tick: number;
  /** Its answer is whole, and it may carry another. */
  release(connection: C): void;
  /** It is gone. */
  remove(connection: C): void;
}
