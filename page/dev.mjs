// Serves dist/ with the headers of the real server and hands everything else on to a running Tidewatch.
//
//   node dev.mjs http://127.0.0.1:9890 [port]

import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';

const TYPES = { 'index.html': 'text/html; charset=utf-8', 'app.js': 'text/javascript; charset=utf-8', 'app.css': 'text/css; charset=utf-8' };
const at = (name) => new URL(`dist/${name}`, import.meta.url);

/** Which file of the page a request is for. */
function fileOf({ method, url, headers }) {
  if (method !== 'GET' && method !== 'HEAD') return undefined;
  const path = url.split('?')[0];
  if (path === '/') return (headers.accept ?? '').includes('text/html') ? 'index.html' : undefined;
  const name = path.startsWith('/page/') ? path.slice('/page/'.length) : '';
  return name in TYPES && name !== 'index.html' ? name : undefined;
}

/** Starts; gives the address and a way to stop. */
export async function serve(target, port = 0) {
  const server = createServer(async (asked, answer) => {
    const name = fileOf(asked);
    if (name) {
      const policy = await readFile(at('policy.txt'), 'utf8');
      answer.writeHead(200, { 'content-type': TYPES[name], 'content-security-policy': policy, 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' });
      answer.end(await readFile(at(name)));
      return;
    }
    const onward = request(new URL(asked.url, target), { method: asked.method, headers: asked.headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }) };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [target = 'http://127.0.0.1:9890', port = '9899'] = process.argv.slice(2);
  console.log((await serve(target, Number(port))).url);
}
