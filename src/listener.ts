import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Registry } from 'prom-client';
import { sameToken } from './control/operator-token.ts';
import { CubitError, toCubitError } from './core/errors.ts';
import { sendError } from './gateway/respond.ts';
import type { Logger } from './log.ts';

interface Place {
  readonly host: string;
  readonly port: number;
  /** Several processes share the port; the kernel spreads connections over them. */
  readonly reusePort?: boolean;
}

/**
 * Listens at once, answering 503 until `requestListener` takes over. `more`: other time-outs than a user's server has.
 * Throws `port_in_use`, `config_invalid`.
 */
export async function listen(config: Place, log: Logger, more: ServerOptions = {}): Promise<Server> {
  const server = createServer({
    keepAliveTimeout: 75_000,
    headersTimeout: 30_000,
    // Of requests only, not of answers; the gateway has a shorter limit of its own and says so.
    requestTimeout: 120_000,
    maxHeaderSize: 16 * 1024,
    // How often slow senders are looked for.
    connectionsCheckingInterval: 5_000,
    ...more,
  });
  server.on('request', (_req, res) =>
    sendError(res, new CubitError('engine_unavailable', 'Cubit is still starting. Retry.')),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenFault(error, config)));
    const { host, port, reusePort = false } = config;
    server.listen({ host, port, reusePort, backlog: 4096 }, resolve);
  });
  // Without a listener a connection that cannot be accepted (no descriptor is left) would end the process.
  server.removeAllListeners('error').on('error', (err) => log.error({ err }, 'a connection was not accepted'));
  return server;
}

function listenFault(error: NodeJS.ErrnoException, { host, port }: Place): CubitError {
  if (error.code === 'EADDRINUSE') {
    return new CubitError(
      'port_in_use',
      `Port ${port} on ${host} is taken. Stop what uses it, or choose another with --port (0 = any free one).`,
    );
  }
  const why = error.code === 'EACCES' ? 'needs more rights' : 'is not possible';
  return new CubitError(
    'config_invalid',
    `Listening on ${host}:${port} ${why} (${error.code}). Choose --host and --port.`,
    { cause: error },
  );
}

/** Takes a request when its path is its own; false = untouched. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => boolean;

/** One port: what `handlers` take by plain node:http, health and metrics, and the control API for the rest. */
export function requestListener(
  handlers: readonly Handler[],
  fetch: (request: Request) => Promise<Response>,
  registry: Registry,
  operatorToken: string,
  readiness: { stopping: boolean },
  log: Logger,
): (req: IncomingMessage, res: ServerResponse) => void {
  const toControl = getRequestListener(fetch);
  const text = (res: ServerResponse, status: number, type: string, body: string) =>
    res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
  return (req, res) => {
    if (handlers.some((handle) => handle(req, res))) return;
    const [path = ''] = (req.url ?? '').split('?', 1);
    if (path === '/') return void res.writeHead(302, { location: '/api/v1/docs' }).end();
    if (path === '/healthz') return void text(res, 200, 'text/plain', 'ok\n');
    if (path === '/readyz') {
      const [status, word] = readiness.stopping ? [503, 'stopping\n'] : [200, 'ready\n'];
      return void text(res, status, 'text/plain', word);
    }
    if (path === '/metrics') {
      if (!mayScrape(req, operatorToken)) {
        return void text(
          res,
          401,
          'text/plain',
          'From elsewhere, /metrics wants the operator token as Bearer token.\n',
        );
      }
      registry.metrics().then(
        (body) => text(res, 200, registry.contentType, body),
        (error: unknown) => {
          log.error({ err: error }, 'metrics failed');
          text(res, 500, 'text/plain', `${toCubitError(error).message}\n`);
        },
      );
      return;
    }
    void toControl(req, res);
  };
}

/** `url` of a server that listens, for programs on this machine. */
export function urlOf(server: Server, wantedHost: string): string {
  const { port } = server.address() as { port: number };
  const host = wantedHost.includes(':') ? `[${wantedHost}]` : wantedHost;
  return `http://${host === '0.0.0.0' || host === '[::]' ? '127.0.0.1' : host}:${port}`;
}

/** Metrics show every tenant's load: they are for this machine (not through a proxy on it) and for the operator. */
export function mayScrape(req: IncomingMessage, operatorToken: string): boolean {
  const address = req.socket.remoteAddress ?? '';
  const isLocal = address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
  if (isLocal && req.headers['x-forwarded-for'] === undefined && req.headers['forwarded'] === undefined) return true;
  return sameToken(req.headers.authorization ?? '', `Bearer ${operatorToken}`);
}
