// @kubernetes/client-node: Exec with input and exit code, input that ends, and PortForward, as its examples use them.
import * as k8s from '@kubernetes/client-node';
import assert from 'node:assert';
import http from 'node:http';
import net from 'node:net';
import { PassThrough } from 'node:stream';

const [, , namespace, pod] = process.argv;
const config = new k8s.KubeConfig();
config.loadFromDefault();

function collected(stream) {
  let text = '';
  stream.on('data', (chunk) => { text += chunk; });
  return () => text;
}

function run(command, output, error, input, feed) {
  return new Promise((resolve, reject) => {
    new k8s.Exec(config).exec(namespace, pod, 'c', command, output, error, input, false, resolve).then(feed, reject);
  });
}

{
  const [output, error, input] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const [said, complained] = [collected(output), collected(error)];
  const script = 'read x; echo got $x; echo oh >&2; exit 4';
  const status = await run(['sh', '-c', script], output, error, input, () => input.write('abc\n'));
  assert.equal(status.details.causes[0].message, '4');
  assert.deepEqual([said(), complained()], ['got abc\n', 'oh\n']);
}
{
  const [output, input] = [new PassThrough(), new PassThrough()];
  const said = collected(output);
  const status = await run(['cat'], output, null, input, () => input.end('all of it\n'));
  assert.equal(status.status, 'Success');
  assert.equal(said(), 'all of it\n');
}
{
  const forward = new k8s.PortForward(config);
  const server = net.createServer((socket) => forward.portForward(namespace, pod, [8080], socket, null, socket));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const size = await new Promise((resolve, reject) => {
    http.get({ port: server.address().port, path: '/500000', agent: false }, (response) => {
      let count = 0;
      response.on('data', (chunk) => { count += chunk.length; });
      response.on('end', () => resolve(count));
    }).on('error', reject);
  });
  assert.equal(size, 500000);
}
process.exit(0);
