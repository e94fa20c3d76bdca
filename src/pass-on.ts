import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { CubitError } from './core/errors.ts';
import { sendError } from './gateway/respond.ts';

const ANSWER_MS_MAX = 120_000;

/** Passes a request on to the control plane on this machine and its answer back, byte by byte. */
export function passOn(controlUrl: string): (req: IncomingMessage, res: ServerResponse) => void {
  const { hostname, port } = new URL(controlUrl);
  return (req, res) => {
    const headers = { ...req.headers };
    // The control plane trusts what comes from this machine: it has to know what does not.
    if (!isLoopback(req.socket.remoteAddress)) headers['x-forwarded-for'] = req.socket.remoteAddress ?? 'unknown';
    const onward = request({ hostname, port, method: req.method, path: req.url, headers, timeout: ANSWER_MS_MAX });
    onward.on('response', (reply) => {
      res.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.on('error', () => res.destroy());
      reply.pipe(res);
    });
    onward.on('timeout', () => onward.destroy(new Error('no answer in time')));
    onward.on('error', (cause) => {
      if (res.headersSent || res.destroyed) return void res.destroy();
      sendError(res, new CubitError('engine_unavailable', 'The control plane does not answer. Retry.', { cause }));
    });
    res.on('close', () => onward.destroy());
    req.on('error', () => onward.destroy());
    req.pipe(onward);
  };
}

export function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address ?? '') || address === 'localhost' || address === '[::1]';
}
