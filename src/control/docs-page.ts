/** A page of its own, nothing loaded from elsewhere: lists the operations of openapi.json and lets people try one. */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cubit control API</title>
<style>
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
  body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
  summary { cursor: pointer; padding: .3rem 0; }
  summary b { display: inline-block; min-width: 4.5rem; }
  code, pre, textarea, input { font: 13px/1.5 ui-monospace, monospace; }
  textarea, input { width: 100%; box-sizing: border-box; padding: .4rem; }
  label { display: block; margin: .5rem 0; }
  pre { overflow: auto; padding: .6rem; border: 1px solid #8886; }
  details { border-bottom: 1px solid #8883; }
  details > div { padding: 0 0 1rem 1rem; }
</style>
<h1>Cubit control API</h1>
<p>The document behind this page: <a href="openapi.json">openapi.json</a>.</p>
<label>API key or operator token <input id="token" type="password" autocomplete="off"></label>
<main id="operations">Loading …</main>
<script type="module">
const make = (tag, text, parent) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};
const field = (parent, text, node) => { const label = make('label', text + ' ', parent); label.append(node); return node; };

const show = (path, method, operation, parent) => {
  const details = make('details', '', parent);
  const summary = make('summary', '', details);
  make('b', method.toUpperCase(), summary);
  make('code', path, summary);
  summary.append(' ' + operation.summary);
  const form = make('form', '', make('div', operation.description, details));
  const inputs = operation.parameters.map((parameter) => {
    const hint = parameter.description ? ': ' + parameter.description : '';
    const node = field(form, parameter.name + ' (' + parameter.in + (parameter.required ? ', required)' : ')') + hint, make('input'));
    node.required = parameter.required;
    return { parameter, node };
  });
  const schema = operation.requestBody?.content['application/json'].schema;
  const body = schema && field(form, 'body (JSON)', make('textarea'));
  if (body) {
    body.rows = 6;
    body.value = JSON.stringify(Object.fromEntries((schema.required ?? []).map((name) => [name, null])), null, 2);
    make('pre', JSON.stringify(schema.properties, null, 2), make('details', '', form)).before(make('summary', 'fields'));
  }
  make('button', 'Try it', form);
  const answer = make('pre', '', form);
  answer.hidden = true;
  answer.setAttribute('aria-live', 'polite');
  form.onsubmit = async (event) => {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    const headers = { authorization: 'Bearer ' + document.getElementById('token').value };
    for (const { parameter, node } of inputs) {
      if (node.value === '') continue;
      if (parameter.in === 'path') url = url.replace('{' + parameter.name + '}', encodeURIComponent(node.value));
      if (parameter.in === 'query') query.set(parameter.name, node.value);
      if (parameter.in === 'header') headers[parameter.name] = node.value;
    }
    if (query.size > 0) url += '?' + query;
    const init = { method: method.toUpperCase(), headers };
    if (body) { init.body = body.value; headers['content-type'] = 'application/json'; }
    answer.hidden = false;
    try {
      const reply = await fetch(url, init);
      answer.textContent = reply.status + '\\n' + JSON.stringify(await reply.json(), null, 2);
    } catch (error) {
      answer.textContent = String(error);
    }
  };
};

const operations = document.getElementById('operations');
try {
  const api = await (await fetch('openapi.json')).json();
  operations.textContent = '';
  for (const tag of api.tags) {
    make('h2', tag.name, operations);
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(tag.name)) show(path, method, operation, operations);
      }
    }
  }
} catch (error) {
  operations.textContent = 'openapi.json could not be read: ' + error;
}
</script>
</html>
`;
