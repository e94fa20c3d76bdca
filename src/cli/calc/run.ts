import { loadCatalog } from '../../catalog/load.ts';
import { loadConfig } from '../../config.ts';
import { answerQuestion } from '../../control/calculator/answer.ts';
import { calculatorRun } from '../../control/calculator/run.ts';
import type { CalculatorAnswer, CalculatorInput } from '../../control/calculator/schemas.ts';
import { readInput } from '../../control/input.ts';
import type { Verb } from '../../control/verb.ts';
import { CubitError } from '../../core/errors.ts';
import { type ClientOptions, createClient } from '../client.ts';
import { tenantFor } from '../tenant.ts';
import { callVerb } from '../verbs.ts';
import { type Asked, type CalcFlags, type Fail, type Question, questionOf } from './question.ts';
import { answerText } from './text.ts';

interface GlobalFlags extends ClientOptions {
  readonly json?: boolean;
  readonly tenant?: string;
}

interface Answered {
  readonly answer: CalculatorAnswer;
  /** Who calculated, for people. */
  readonly by: string;
}

/** Exit code: 0, or 1 when no number of units reaches the targets. Throws CubitError. */
export async function runCalc(fail: Fail, flags: CalcFlags, globals: GlobalFlags): Promise<number> {
  const asked = questionOf(fail, flags);
  const { answer, by } = await answered(flags, globals, asked);
  const whole = { ...answer, notes: [...asked.notes, ...answer.notes] };
  if (globals.json) console.log(JSON.stringify({ calculatedBy: by, ...whole }, null, 2));
  else console.log(answerText(whole, by, flags.clouds ?? false));
  return answer.best === null ? 1 : 0;
}

/** The server, for it knows what is measured here; the catalogue of this machine where none runs or the trace is too long for it. */
async function answered(flags: CalcFlags, globals: GlobalFlags, asked: Asked): Promise<Answered> {
  const { question, short } = asked;
  const named = globals.url ?? globals.token ?? process.env['CUBIT_URL'] ?? process.env['CUBIT_TOKEN'];
  const needsServer = question.endpointId !== undefined || named !== undefined;
  if (flags.catalog !== undefined && question.endpointId !== undefined) {
    throw new CubitError('invalid_request', 'What an endpoint has served only its server knows: leave --catalog out.');
  }
  if (flags.catalog !== undefined) return fromCatalog(flags, globals, question, 'as asked');
  if (!short) return fromCatalog(flags, globals, question, 'the trace is too long for one request');
  try {
    const client = createClient(globals);
    const wanted = globals.tenant ?? process.env['CUBIT_TENANT'];
    const tenantId = question.endpointId === undefined ? undefined : await tenantFor(client, wanted, true);
    const input = tenantId === undefined ? question : { ...question, tenantId };
    const answer = (await callVerb(client, calculatorRun, input)) as CalculatorAnswer;
    return { answer, by: `the Cubit at ${client.url}` };
  } catch (error) {
    const absent = error instanceof CubitError && ['engine_unavailable', 'invalid_api_key'].includes(error.code);
    if (!absent || needsServer) throw error;
    return fromCatalog(flags, globals, question, 'no Cubit runs here');
  }
}

async function fromCatalog(
  { catalog }: CalcFlags,
  { data }: GlobalFlags,
  question: Question,
  why: string,
): Promise<Answered> {
  const dir = typeof catalog === 'string' ? catalog : loadConfig({ dataDir: data }).catalogDir;
  const bounded = { ...question, ...(question.trace === undefined ? {} : { trace: [] }) };
  // A trace has a bound over the API only.
  const input = readInput(calculatorRun as unknown as Verb, bounded) as ReturnType<typeof CalculatorInput.parse>;
  const trace = question.trace?.map((row) => ({ ...row, cachedTokens: row.cachedTokens ?? 0 }));
  const context = { catalog: await loadCatalog(dir), servedHere: () => false, recorded: null };
  const answer = answerQuestion(context, trace === undefined ? input : { ...input, trace });
  return { answer, by: `the catalogue in ${dir} (${why})` };
}
