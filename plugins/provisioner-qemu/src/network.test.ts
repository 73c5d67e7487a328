import { expect, it } from 'vitest';
import { parseForwards } from './network.js';

it('reads which ports the system chose', () => {
  const table = `Hub -1 (network):\r
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r
  TCP[ESTABLISHED]   12       10.0.2.15 40000       127.0.0.1  8080     0     0\r
  TCP[HOST_FORWARD]  11       127.0.0.1 32917       10.0.2.15    22     0     0\r
  TCP[HOST_FORWARD]   9       127.0.0.1 44119       10.0.2.15    80     0     0\r
`;
  expect([...parseForwards(table)]).toEqual([
    [22, 32917],
    [80, 44119],
  ]);
});
