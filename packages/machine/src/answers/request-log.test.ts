import { createLogger, type Event } from '@polyvisor/core';
import { expect, it } from 'vitest';
import type { AnswerRequest } from './answer-request.js';
import { RequestLog } from './request-log.js';

const miss: AnswerRequest = {
  time: 0,
  client: '127.0.0.1:1',
  method: 'GET',
  path: '/x',
  trusted: false,
  status: 404,
  bytes: 0,
  userAgent: '',
};

it('remembers and shows a bounded number of requests, and still sees the first fetch', async () => {
  const events: Event[] = [];
  const log = new RequestLog(createLogger((event) => events.push(event), 'answers'));
  for (let n = 0; n < 10_000; n++) log.add({ ...miss, path: `/${n}` }, []);
  expect(log.latest).toHaveLength(100);
  expect(log.latest.at(-1)?.path).toBe('/9999');
  expect(events).toHaveLength(501);
  expect(events.at(-1)).toMatchObject({ message: expect.stringContaining('not shown') });
  const fetched = log.firstFetch(new AbortController().signal);
  log.add({ ...miss, status: 206, trusted: true }, []);
  expect((await fetched).status).toBe(206);
});
