import { describe, expect, it } from 'vitest';
import { compileChatTemplate } from './template.ts';

const source = `{% for message in messages %}{% if message['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ bos_token + message['role'] + ': ' + message['content'] + eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}`;

describe('compileChatTemplate', () => {
  const render = compileChatTemplate(source, { bosToken: '<s>', eosToken: '</s>' });

  it('renders up to where the answer begins', () => {
    expect(render([{ role: 'user', content: 'hi' }])).toBe('<s>user: hi</s>assistant:');
  });

  it('gives the template’s own complaint', () => {
    expect(() => render([{ role: 'tool', content: '' }])).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining('no tools') }),
    );
  });
});
