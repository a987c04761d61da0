// A certificate authority for one test, and an https server on localhost that publishes client ID metadata documents.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { atEnd, folder } from './programs.mjs';

function authority(dir) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=hallpass test authority',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign');
  openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost');
  writeFileSync(join(dir, 'server.ext'), 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n');
  openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'server.pem', '-days', '2', '-extfile', 'server.ext');
  return { ca: join(dir, 'ca.pem'), key: readFileSync(join(dir, 'server.key')), cert: readFileSync(join(dir, 'server.pem')) };
}

/** Serves documents by path. `publish` makes one for a client and gives its URL, which is its client_id. */
export async function documentServer(t) {
  const { ca, key, cert } = authority(folder(t));
  const documents = new Map();
  const requests = [];
  const server = https.createServer({ key, cert }, (request, answer) => {
    requests.push({ method: request.method, url: request.url });
    const document = documents.get(request.url);
    answer.writeHead(document ? 200 : 404, { 'content-type': 'application/json', 'cache-control': 'max-age=60' });
    answer.end(JSON.stringify(document ?? { error: 'not found' }));
  });
  await new Promise((resolve) => server.listen(0, resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `https://localhost:${server.address().port}`;
  const publish = (path, metadata) => {
    documents.set(path, { client_id: `${origin}${path}`, ...metadata });
    return `${origin}${path}`;
  };
  return { ca, origin, publish, requests };
}
