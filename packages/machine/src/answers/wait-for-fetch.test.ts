import type { Event } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { startAnswerServer } from './answer-server.js';
import { waitForFetch } from './wait-for-fetch.js';

const files = new Map([['preseed.cfg', Buffer.from('x')]]);

async function start() {
  const events: Event[] = [];
  const emit = (event: Event) => void events.push(event);
  const { signal } = new AbortController();
  const server = await startAnswerServer({ files, emit, signal });
  return { server, events, wait: { limit: 10_000, hostAddress: '10.0.2.2', emit, stage: 'install', signal } };
}

it('waits for the first fetch, and says so', async () => {
  const { server, events, wait } = await start();
  await using _ = server;
  const fetched = waitForFetch(server, wait);
  await fetch(`http://127.0.0.1:${server.port}${server.path}/preseed.cfg`);
  expect(await fetched).toMatchObject({ status: 200 });
  expect(events[0]).toMatchObject({
    type: 'waiting',
    stage: 'install',
    message: expect.stringContaining('preseed.cfg'),
  });
});

it('says what was offered where when nothing was asked', async () => {
  const { server, wait } = await start();
  await using _ = server;
  await expect(waitForFetch(server, { ...wait, limit: 50 })).rejects.toMatchObject({
    code: 'answers-not-fetched',
    message: expect.stringMatching(
      new RegExp(`preseed.cfg at http://10.0.2.2:${server.port}${server.path}/; nothing was asked of the server`),
    ),
  });
});

it('says what was asked instead', async () => {
  const { server, wait } = await start();
  await using _ = server;
  await fetch(`http://127.0.0.1:${server.port}${server.path}/preeseed.cfg`);
  await expect(waitForFetch(server, { ...wait, limit: 50 })).rejects.toMatchObject({
    message: expect.stringContaining('it got 1 request,'),
    transcript: expect.stringContaining('GET preeseed.cfg: 404'),
  });
});

it('ends when the machine stops, and with the run', async () => {
  const { server, wait } = await start();
  await using _ = server;
  const stopped = Promise.resolve({ kind: 'died', words: 'no memory' } as const);
  await expect(waitForFetch(server, { ...wait, stopped })).rejects.toMatchObject({
    code: 'answers-not-fetched',
    message: expect.stringContaining('died: no memory'),
  });
  const reason = new Error('enough');
  await expect(waitForFetch(server, { ...wait, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
