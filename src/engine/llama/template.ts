import { Template } from '@huggingface/jinja';
import { CubitError } from '../../core/errors.ts';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface TemplateTokens {
  readonly bosToken: string;
  readonly eosToken: string;
}

/**
 * A model's own chat template (Jinja, `tokenizer.chat_template` of its GGUF file). Render gives the prompt's text, which
 * ends where the assistant's answer begins. Throws `invalid_request` with the template's own complaint.
 */
export function compileChatTemplate(
  source: string,
  tokens: TemplateTokens,
): (messages: readonly ChatMessage[]) => string {
  const template = new Template(source);
  return (messages) => {
    try {
      return template.render({
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: true,
        bos_token: tokens.bosToken,
        eos_token: tokens.eosToken,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CubitError('invalid_request', `The model's chat template refuses these messages: ${reason}`, {
        details: { param: 'messages' },
        cause: error,
      });
    }
  };
}
