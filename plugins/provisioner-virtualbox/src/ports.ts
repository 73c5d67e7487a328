import { createServer } from 'node:net';

/** Where forwarded ports are reached: by this computer alone. */
export const FORWARDING_HOST = '127.0.0.1';

/** Ports of this computer, of which VirtualBox does not say when they are taken. */
export interface Ports {
  /** One that nobody listens on. */
  choose(): Promise<number>;
  isFree(port: number): Promise<boolean>;
}

/** Asks the system. Somebody may take a port afterwards, which has to be looked for when the machine runs. */
export const systemPorts: Ports = {
  choose: async () => {
    const port = await listen(0);
    if (port === undefined) throw new Error(`no port of ${FORWARDING_HOST} is free`);
    return port;
  },
  isFree: async (port) => (await listen(port)) !== undefined,
};

/** The port, once it was listened on and left again; 0 is any. */
function listen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: FORWARDING_HOST, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
