import { type Context, Hono } from 'hono';
import { CubitError, toCubitError } from '../core/errors.ts';
import { actorOf } from './actor.ts';
import { answerVerb, type ControlDeps, newId } from './call.ts';
import { csvOf } from './csv.ts';
import { DOCS_PAGE } from './docs-page.ts';
import type { Download } from './document/download.ts';
import { toJson } from './json.ts';
import { API_PREFIX, openApiDocument } from './openapi.ts';
import { verbs } from './registry.ts';
import { requestInput } from './request-input.ts';
import type { Actor, Verb } from './verb.ts';

type Env = { Variables: { requestId: string } };

const REQUEST_ID = /^[\w.-]{1,64}$/;

/**
 * The control API over HTTP: a route for each verb below /api/v1, its OpenAPI document and a page to try it. Errors are
 * `{ error: { code, message, details, requestId } }`.
 */
export function controlApp(deps: ControlDeps): { fetch(request: Request): Promise<Response> } {
  const app = new Hono<Env>();
  const document = toJson(openApiDocument(verbs));
  app.use(async (c, next) => {
    const sent = c.req.header('x-request-id');
    c.set('requestId', sent !== undefined && REQUEST_ID.test(sent) ? sent : newId('request'));
    await next();
    c.header('x-request-id', c.var.requestId);
  });
  app.get(`${API_PREFIX}/openapi.json`, (c) => json(c, document, 200));
  app.get(`${API_PREFIX}/docs`, (c) => c.html(DOCS_PAGE));
  for (const verb of verbs) app.on(verb.route.method, honoPath(verb), (c) => serve(deps, verb, c));
  for (const [path, methods] of Map.groupBy(verbs, honoPath)) {
    const allowed = methods.map((verb) => verb.route.method).join(', ');
    app.all(path, (c) => {
      c.header('allow', allowed);
      throw new CubitError('method_not_allowed', `${c.req.method} is not possible here; ${allowed} is.`);
    });
  }
  app.notFound((c) => {
    const error = new CubitError(
      'not_found',
      `There is nothing at ${c.req.path}. ${API_PREFIX}/docs lists what there is.`,
    );
    return problem(c, error);
  });
  app.onError((thrown, c) => {
    const error = toCubitError(thrown);
    if (error.status >= 500) {
      const fields = { requestId: c.var.requestId, code: error.code, err: error.cause ?? error };
      deps.log.error(fields, `${c.req.method} ${c.req.path} failed`);
    }
    return problem(c, error);
  });
  return { fetch: async (request) => app.fetch(request) };
}

async function serve(deps: ControlDeps, verb: Verb, c: Context<Env>): Promise<Response> {
  const actor: Actor =
    verb.access === 'anyone' ? { kind: 'anyone' } : await actorOf(deps, c.req.header('authorization'));
  const input = await requestInput(verb, c.req.raw, c.req.param());
  const answer = await answerVerb(deps, verb, {
    actor,
    input,
    idempotencyKey: c.req.header('idempotency-key') ?? null,
    requestId: c.var.requestId,
  });
  if (answer.replayed) c.header('idempotent-replayed', 'true');
  if (verb.download) return file(c, JSON.parse(answer.json) as Download);
  if (/^text\/csv\b/.test(c.req.header('accept') ?? '')) return csv(c, answer.json);
  return json(c, answer.json, 200);
}

function problem(c: Context<Env>, error: CubitError): Response {
  const { code, message, details } = error;
  if (error.status === 401) c.header('www-authenticate', 'Bearer');
  c.header('x-request-id', c.var.requestId);
  return json(c, toJson({ error: { code, message, details, requestId: c.var.requestId } }), error.status);
}

function json(c: Context<Env>, text: string, status: number): Response {
  c.header('content-type', 'application/json; charset=utf-8');
  c.header('cache-control', 'no-store');
  return c.body(text, status as 200);
}

function csv(c: Context<Env>, answerJson: string): Response {
  const text = csvOf(JSON.parse(answerJson));
  c.header('content-type', 'text/csv; charset=utf-8');
  c.header('cache-control', 'no-store');
  return c.body(text);
}

/** Saved, not shown: a page that names what tenants typed is not to run in this origin, whatever it holds. */
function file(c: Context<Env>, { filename, contentType, body }: Download): Response {
  c.header('content-type', contentType);
  c.header('content-disposition', `attachment; filename="${filename}"`);
  c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; sandbox");
  c.header('x-content-type-options', 'nosniff');
  c.header('cache-control', 'no-store');
  return c.body(body, 200);
}

function honoPath(verb: Verb): string {
  return API_PREFIX + verb.route.path.replace(/\{(\w+)\}/g, ':$1');
}
