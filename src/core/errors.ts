/**
 * The closed set of error codes. One table says what every transport needs: the HTTP status and OpenAI's error `type`.
 * `message` is for people and may be shown; `cause` is internal and only logged.
 */
const TABLE = {
  // The request itself
  invalid_json: [400, 'invalid_request_error'],
  invalid_request: [400, 'invalid_request_error'],
  unsupported_feature: [400, 'invalid_request_error'],
  context_length_exceeded: [400, 'invalid_request_error'],
  body_too_large: [413, 'invalid_request_error'],
  body_timeout: [408, 'invalid_request_error'],
  not_found: [404, 'invalid_request_error'],
  model_not_found: [404, 'invalid_request_error'],
  method_not_allowed: [405, 'invalid_request_error'],
  // Who asks
  invalid_api_key: [401, 'authentication_error'],
  forbidden: [403, 'permission_error'],
  access_required: [403, 'permission_error'],
  // State and money
  conflict: [409, 'conflict_error'],
  idempotency_conflict: [409, 'conflict_error'],
  invalid_transition: [409, 'conflict_error'],
  quote_changed: [409, 'conflict_error'],
  quota_exceeded: [409, 'conflict_error'],
  agreement_required: [409, 'conflict_error'],
  payment_required: [402, 'payment_error'],
  capacity_exhausted: [503, 'server_error'],
  // Admission
  model_units_exhausted: [429, 'rate_limit_error'],
  rate_limit_exceeded: [429, 'rate_limit_error'],
  endpoint_scaling_up: [503, 'server_error'],
  shutting_down: [503, 'server_error'],
  client_closed: [499, 'client_closed'],
  // Engines
  engine_unavailable: [503, 'server_error'],
  engine_failed: [502, 'server_error'],
  engine_timeout: [504, 'server_error'],
  // This process and its machine
  config_invalid: [500, 'server_error'],
  port_in_use: [500, 'server_error'],
  data_folder_locked: [500, 'server_error'],
  disk_full: [507, 'server_error'],
  weights_unavailable: [500, 'server_error'],
  internal: [500, 'server_error'],
} as const satisfies Record<string, readonly [status: number, type: string]>;

export type ErrorCode = keyof typeof TABLE;
export type ErrorDetails = Readonly<Record<string, unknown>>;

export class CubitError extends Error {
  override readonly name = 'CubitError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get status(): number {
    return TABLE[this.code][0];
  }

  get type(): string {
    return TABLE[this.code][1];
  }
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(TABLE, code);
}

/** Any thrown value as a CubitError; what is not one becomes `internal`, its own text kept as the cause only. */
export function toCubitError(error: unknown): CubitError {
  if (error instanceof CubitError) return error;
  return new CubitError('internal', 'Something went wrong on our side. The request id finds it in the logs.', {
    cause: error,
  });
}
