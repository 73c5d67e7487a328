import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { QmpClient, type QmpEvent } from './qmp.js';

function connection() {
  const input = new PassThrough();
  const output = new PassThrough();
  const events: QmpEvent[] = [];
  const noise: string[] = [];
  const client = new QmpClient(input, output, {
    onEvent: (event) => events.push(event),
    onNoise: (line) => noise.push(line),
  });
  return { input, output, events, noise, client };
}

describe('QmpClient', () => {
  it('matches answers to commands in order, wherever the lines are cut', async () => {
    const { client, input, output } = connection();
    const answers = Promise.all([client.execute('a'), client.execute('b', { c: 1 })]);
    expect(String(output.read())).toBe('{"execute":"a"}\n{"execute":"b","arguments":{"c":1}}\n');
    input.write('{"QMP": {}}\r\n{"return": 1}\r\n{"ret');
    input.write('urn": 2}\r\n');
    expect(await answers).toEqual([1, 2]);
  });

  it('tells events and noise apart from answers', async () => {
    const { client, input, events, noise } = connection();
    const answer = client.execute('a');
    input.write('a library says hello\n{"event": "STOP"}\n"text"\n{"return": {}}\n');
    await answer;
    expect(events).toEqual([{ event: 'STOP', data: {} }]);
    expect(noise).toEqual(['a library says hello', '"text"']);
  });

  it('rejects with what QEMU says is wrong', async () => {
    const { client, input } = connection();
    const answer = client.execute('a');
    input.write('{"error": {"class": "GenericError", "desc": "no such thing"}}\n');
    await expect(answer).rejects.toThrow('QMP a: no such thing');
  });

  it('rejects what waits, and all that comes later, when QEMU ends', async () => {
    const { client, input } = connection();
    const answer = client.execute('a');
    input.end();
    await expect(answer).rejects.toThrow('QMP a: the connection to QEMU ended');
    await client.closed;
    await expect(client.execute('b')).rejects.toThrow('QMP b: the connection to QEMU ended');
  });

  it('keeps no more of a message than any real one has', async () => {
    const { client, input } = connection();
    const answer = client.execute('a');
    input.write('x'.repeat(5 * 1024 * 1024));
    await expect(answer).rejects.toThrow('too long');
  });
});
