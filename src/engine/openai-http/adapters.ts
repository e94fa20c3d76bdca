import { CubitError } from '../../core/errors.ts';
import type { AdapterSource, CancelSignal, EngineDialect } from '../port.ts';
import { type Call, textOf } from './call.ts';
import type { HttpClient } from './client.ts';
import { DIALECTS } from './dialects.ts';
import { upstreamError } from './errors.ts';

/**
 * LoRA adapters of a server that runs, by `load_lora_adapter` and `unload_lora_adapter`: vLLM has them below `/v1`, SGLang
 * below its root, with the same two fields. Sources: vLLM "LoRA adapters" (dynamically serving; needs
 * VLLM_ALLOW_RUNTIME_LORA_UPDATING), SGLang "LoRA serving" (dynamic loading).
 */
const ANSWER_BYTES_MAX = 64 * 1024;
const ALREADY = /already (been )?(loaded|registered|exist)/i;
const NOT_THERE = /not (found|been loaded|loaded|exist)|does not exist|never loaded/i;
const NO_ROOM = /unload one|max[_ -]?loaded|maximum number|exceed/i;
const IN_USE = /in use/i;

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** As `Engine.loadAdapter` says. */
export async function loadAdapter(
  client: HttpClient,
  dialect: EngineDialect,
  { name, path }: AdapterSource,
  signal: CancelSignal,
): Promise<void> {
  const answer = await call(client, dialect, 'load_lora_adapter', { lora_name: name, lora_path: path }, signal);
  const { status, text } = answer;
  if (isDone(answer) || ALREADY.test(text)) return;
  const cause = new Error(`upstream answered ${status}`);
  if (status < 500 && NO_ROOM.test(text)) {
    throw new CubitError('capacity_exhausted', 'The engine has no room for another adapter.', { cause });
  }
  if (status === 404 && !/adapter|lora/i.test(text)) {
    const message =
      'The server does not load adapters while it runs. Start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, SGLang with --enable-lora.';
    throw new CubitError('unsupported_feature', message, { cause });
  }
  if (status < 500) {
    throw new CubitError('invalid_request', `The engine cannot load the adapter ${name}: ${text.slice(0, 300)}`, {
      cause,
    });
  }
  throw upstreamError(status, text);
}

/** As `Engine.unloadAdapter` says. */
export async function unloadAdapter(
  client: HttpClient,
  dialect: EngineDialect,
  name: string,
  signal: CancelSignal,
): Promise<void> {
  const answer = await call(client, dialect, 'unload_lora_adapter', { lora_name: name }, signal);
  if (isDone(answer) || answer.status === 404 || NOT_THERE.test(answer.text)) return;
  if (IN_USE.test(answer.text)) throw new CubitError('conflict', `The engine still uses the adapter ${name}.`);
  throw upstreamError(answer.status, answer.text);
}

/** Whether a refused request says that the server does not have its adapter (any more): it has restarted, say. */
export function isAdapterLost(status: number, text: string): boolean {
  return status === 404 || (status === 400 && /lora|adapter/i.test(text) && NOT_THERE.test(text));
}

/** SGLang says `success: false` with a 200 in some versions. */
function isDone({ status, text }: Answer): boolean {
  return status === 200 && !/"success"\s*:\s*false/.test(text);
}

async function call(
  client: HttpClient,
  dialect: EngineDialect,
  verb: string,
  body: object,
  signal: CancelSignal,
): Promise<Answer> {
  const { adapters } = DIALECTS[dialect];
  if (adapters === null) {
    throw new CubitError('unsupported_feature', `${dialect} servers load no LoRA adapters while they run.`);
  }
  const { apiPath, rootPath } = client.transport;
  const path = `${adapters.below === 'api' ? apiPath : rootPath}/${verb}`;
  const answer: Call = await client.post(path, body, [], signal, () => undefined);
  return { status: answer.status, text: await textOf(answer, ANSWER_BYTES_MAX) };
}
