import { z } from 'zod';
import type { Template } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { Id } from '../schemas.ts';
import { type Ctx, defineVerb, type ProbeServer } from '../verb.ts';
import { Server, serverView } from './schemas.ts';

const ZmqAddress = z
  .string()
  .regex(/^tcp:\/\/[^\s/]+:\d{1,5}$/, 'tcp://HOST:PORT')
  .max(300);

export const serverAdopt = defineVerb({
  name: 'server.adopt',
  summary: 'Take an OpenAI-compatible server that runs already as one unit of a template.',
  access: 'operate',
  route: { method: 'POST', path: '/servers' },
  input: z.strictObject({
    serverUrl: z.url({ protocol: /^https?$/, error: 'an http or https URL' }).max(2000),
    templateId: Id.describe('The template whose unit it is'),
    model: z.string().min(1).max(200).optional().describe('Its model name there; needed when it serves several'),
    apiKey: z.string().min(1).max(1000).optional().describe('What the server wants as Bearer token'),
    role: Server.shape.role.default('unified').describe('prefill or decode: its part of a disaggregated unit'),
    bootstrapPort: z.int().min(1).max(65_535).optional().describe('Of an SGLang prefill server; 8998 when left out'),
    kvEvents: ZmqAddress.optional().describe('Where it publishes KV cache events, as in tcp://10.0.0.5:5557'),
    kvReplay: ZmqAddress.optional().describe('Where it replays events that were missed'),
  }),
  output: Server,
  async run({ ctx, input }) {
    checkRole(ctx.catalog.templates.get(input.templateId), input);
    const url = baseOf(input.serverUrl);
    const apiKey = input.apiKey ?? null;
    const found = await ask(ctx, url, apiKey);
    const model = chooseModel(found.models, input.model);
    const answer = await ctx.transaction(async (trx) => {
      const twin = await trx
        .selectFrom('servers')
        .select('id')
        .where('url', '=', url)
        .where('model', '=', model)
        .where('removed_at_ms', 'is', null)
        .executeTakeFirst();
      if (twin !== undefined) {
        throw new CubitError('conflict', `${url} serves ${model} as ${twin.id} already.`, {
          details: { serverId: twin.id },
        });
      }
      const row = {
        id: ctx.newId('server'),
        template_id: input.templateId,
        url,
        model,
        dialect: found.dialect,
        api_key: apiKey,
        role: input.role,
        bootstrap_port: input.bootstrapPort ?? null,
        kv_events: input.kvEvents ?? null,
        kv_replay: input.kvReplay ?? null,
        created_at_ms: ctx.now(),
        removed_at_ms: null,
      };
      await trx.insertInto('servers').values(row).execute();
      await audit(trx, ctx, {
        verb: 'server.adopt',
        subject: row.id,
        tenantId: null,
        detail: { url, model, templateId: row.template_id, dialect: row.dialect, role: row.role },
      });
      return serverView(row);
    });
    ctx.changed();
    return answer;
  },
});

/** Throws for a template that does not exist, or that has no such machines. */
function checkRole(
  template: Template | undefined,
  { bootstrapPort, kvEvents, kvReplay, role, templateId }: z.output<typeof serverAdopt.input>,
): void {
  if (template === undefined) throw invalidField('templateId', `there is no template ${templateId}`);
  const roles = template.roles.map((one) => one.role);
  if (!roles.includes(role)) {
    throw invalidField('role', `machines of ${template.id} are ${roles.join(' and ')}: say which this one is`);
  }
  if (bootstrapPort !== undefined && role !== 'prefill') {
    throw invalidField('bootstrapPort', 'only prefill servers have one');
  }
  if (kvReplay !== undefined && kvEvents === undefined) {
    throw invalidField('kvReplay', 'say kvEvents too: it replays what was missed there');
  }
}

/** One spelling for each server, so that none is adopted twice: `/v1` is what is meant without a path. */
function baseOf(text: string): string {
  const { origin, pathname, username, password, search, hash } = new URL(text);
  if (username !== '' || password !== '')
    throw invalidField('serverUrl', 'without user and password; the key is apiKey');
  if (search !== '' || hash !== '') throw invalidField('serverUrl', 'the base of the API, without ? and #');
  return origin + pathname.replace(/\/+$/, '').replace(/^\/v1$/, '');
}

/** What the server says it is. The reason why it cannot be adopted is for the operator, so it is told whole. */
async function ask(ctx: Ctx, url: string, apiKey: string | null): Promise<Awaited<ReturnType<ProbeServer>>> {
  const found = await ctx.probe({ url, apiKey }).catch((error: unknown) => {
    if (!(error instanceof CubitError)) throw error;
    const { message, cause } = error;
    const why = cause instanceof Error && cause.message !== '' ? ` (${cause.message.slice(0, 200)})` : '';
    throw new CubitError(error.code, `${url} cannot be adopted: ${message}${why}`, { details: { url }, cause });
  });
  if (found.ok) return found;
  const reason = found.reason ?? 'it reports that it is not healthy';
  throw new CubitError('engine_unavailable', `${url} cannot be adopted: ${reason}.`, { details: { url } });
}

function chooseModel(served: readonly string[], asked: string | undefined): string {
  const only = served.length === 1 ? served[0] : undefined;
  const model = asked ?? only;
  if (model === undefined) {
    const names = served.length === 0 ? 'it lists none' : `it serves ${served.join(', ')}`;
    throw invalidField('model', `say which one; ${names}`);
  }
  if (served.length > 0 && !served.includes(model)) {
    throw invalidField('model', `the server has no ${model}; it serves ${served.join(', ')}`);
  }
  return model;
}
