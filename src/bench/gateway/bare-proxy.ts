import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';

/**
 * The bare proxy that `npm run bench:gateway` compares with: what node:http and undici's fastest interface cost when
 * nothing is done beside reading JSON both ways and putting the model's name in. No key, no admission, no receipt.
 * `node bare-proxy.ts UPSTREAM`; it ends with its parent.
 */
const pool = new Pool(process.argv[2] as string, {
  connections: 4096,
  pipelining: 1,
  headersTimeout: 0,
  bodyTimeout: 0,
});

function take(req: IncomingMessage, res: ServerResponse): void {
  const parts: Buffer[] = [];
  req.on('data', (part: Buffer) => parts.push(part));
  req.on('end', () => {
    const body = JSON.parse((parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)).toString()) as {
      model: string;
    };
    body.model = 'mock-model';
    const options: Dispatcher.DispatchOptions = {
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
    pool.dispatch(options, handlerFor(res));
  });
}

function handlerFor(res: ServerResponse): Dispatcher.DispatchHandler {
  const answer: Buffer[] = [];
  let streams = false;
  return {
    onRequestStart(controller) {
      res.on('close', () => {
        if (!res.writableFinished) controller.abort(new Error('the client left'));
      });
    },
    onResponseStart(_controller, _status, headers) {
      streams = String(headers['content-type']).startsWith('text/event-stream');
      if (streams) res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    },
    onResponseData(_controller, part) {
      if (streams) res.write(part);
      else answer.push(part);
    },
    onResponseEnd() {
      if (streams) {
        res.end();
        return;
      }
      const document = JSON.parse((answer.length === 1 ? (answer[0] as Buffer) : Buffer.concat(answer)).toString());
      const text = JSON.stringify(document);
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
      res.end(text);
    },
    onResponseError() {
      if (!res.headersSent) res.writeHead(502);
      res.end();
    },
  };
}

const server = createServer({ keepAliveTimeout: 75_000 }, take);
server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => {
  console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
});
process.stdin.resume().on('end', () => process.exit(0));
