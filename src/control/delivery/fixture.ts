import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { afterAll, onTestFinished } from 'vitest';

/** Receivers for tests: real servers of this process, on ports of their own. */
function afterwards(work: () => void): void {
  try {
    onTestFinished(work);
  } catch {
    afterAll(work);
  }
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface HttpReceiver {
  readonly url: string;
  readonly received: Received[];
  /** A status; `hang`: never answers; `drip`: answers 200 and then a body without end, a byte at a time. */
  answer: number | 'hang' | 'drip' | { status: number; location: string };
}

export async function httpReceiver(): Promise<HttpReceiver> {
  const received: Received[] = [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      received.push({ path: req.url ?? '', headers: req.headers, body: Buffer.concat(chunks).toString() });
      const { answer } = receiver;
      if (answer === 'hang') return;
      if (answer === 'drip') {
        res.writeHead(200);
        const timer = setInterval(() => res.write('x'), 5);
        res.on('close', () => clearInterval(timer));
      } else if (typeof answer === 'number') res.writeHead(answer).end('{"ok":true}');
      else res.writeHead(answer.status, { location: answer.location }).end();
    });
  });
  const url = `http://127.0.0.1:${await listen(server)}/hook?x=1`;
  const receiver: HttpReceiver = { url, received, answer: 200 };
  afterwards(() => void server.close().closeAllConnections());
  return receiver;
}

/** As a receiver of Standard Webhooks checks: is one of the signatures ours? */
export function isSigned({ headers, body }: Received, secret: string): boolean {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const wanted = `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
  return String(headers['webhook-signature']).split(' ').includes(wanted);
}

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly data: string;
}

export interface SmtpReceiver {
  readonly url: string;
  readonly mails: Mail[];
  /** What it says to the content of a mail; `hang`: nothing, from the greeting on. */
  answer: string | 'hang';
}

/** The part of RFC 5321 that a client without TLS uses. */
export async function smtpReceiver(): Promise<SmtpReceiver> {
  const mails: Mail[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    if (receiver.answer === 'hang') return;
    let [from, to, lines, inData, rest]: [string, string[], string[], boolean, string] = ['', [], [], false, ''];
    const say = (line: string) => socket.write(`${line}\r\n`);
    const takeLine = (line: string) => {
      if (inData && line !== '.') return void lines.push(line.replace(/^\.\./, '.'));
      if (inData) {
        inData = false;
        if (receiver.answer.startsWith('2')) mails.push({ from, to, data: lines.join('\n') });
        [to, lines] = [[], []];
        return void say(receiver.answer);
      }
      const [, path = ''] = /<(.*)>/.exec(line) ?? [];
      if (/^EHLO/i.test(line)) say('250 test');
      else if (/^MAIL FROM/i.test(line)) [from] = [path, say('250 ok')];
      else if (/^RCPT TO/i.test(line)) void [to.push(path), say('250 ok')];
      else if (/^DATA/i.test(line)) [inData] = [true, say('354 go on')];
      else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
      else say('502 what?');
    };
    socket.on('data', (chunk) => {
      const parts = (rest + chunk.toString()).split('\r\n');
      rest = parts.pop() ?? '';
      for (const line of parts) takeLine(line);
    });
    say('220 test');
  });
  const receiver: SmtpReceiver = { url: `smtp://127.0.0.1:${await listen(server)}`, mails, answer: '250 taken' };
  afterwards(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return receiver;
}
