import type { IncomingMessage, ServerResponse } from 'node:http';
import { CubitError } from '../../core/errors.ts';

const BODY_BYTES_MAX = 16 * 1024 * 1024;

export function errorBody(error: CubitError) {
  const param = error.details['param'];
  return {
    error: {
      message: error.message,
      type: error.type,
      param: typeof param === 'string' ? param : null,
      code: error.code,
    },
  };
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

export function sendError(response: ServerResponse, error: CubitError): void {
  sendJson(response, error.status, errorBody(error));
}

/** The request's body as JSON. Throws `body_too_large`, `invalid_json`, or `client_closed` when it breaks off. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // Read to its end all the same: what is left of it would hold up the next request on this connection.
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
    }
  } catch (error) {
    throw new CubitError('client_closed', 'The request broke off.', { cause: error });
  }
  if (bytes > BODY_BYTES_MAX) {
    throw new CubitError('body_too_large', `The body is larger than ${BODY_BYTES_MAX} bytes.`);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new CubitError('invalid_json', 'The body is not JSON.', { cause: error });
  }
}
