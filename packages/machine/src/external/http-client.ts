import { EnvironmentError } from '@polyvisor/core';
import type { Dispatcher } from 'undici';
import { withoutSecrets } from './locations.js';

const MOST_REDIRECTS = 10;

/** An answer whose body has to be read or destroyed. */
export interface HttpAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: AsyncIterable<Uint8Array> & { destroy(): unknown };
}

/** Why an address cannot be asked at all, though the network may be fine. */
export class AddressError extends Error {}

/** Asks for addresses, through the proxies that the environment names. Disposing ends its connections. */
export interface HttpClient extends AsyncDisposable {
  /** Follows redirects. Rejects with the signal's reason, with `AddressError`, or as the network failed. */
  get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer>;
}

/** `patience`: for each step of a connection, in milliseconds. */
export async function openHttpClient(
  environment: Readonly<Record<string, string | undefined>>,
  patience: number,
): Promise<HttpClient> {
  // Loaded when something is downloaded: most runs need none of it.
  const { EnvHttpProxyAgent } = await import('undici');
  const variable = (name: string) => environment[name] ?? environment[name.toUpperCase()] ?? '';
  let agent: Dispatcher;
  try {
    agent = new EnvHttpProxyAgent({
      httpProxy: proxyAddress(variable('http_proxy')),
      httpsProxy: proxyAddress(variable('https_proxy')),
      noProxy: variable('no_proxy'),
      // Many proxies take CONNECT for TLS alone.
      proxyTunnel: false,
      connect: { timeout: patience },
      headersTimeout: patience,
      bodyTimeout: patience,
    });
  } catch (error) {
    throw new EnvironmentError(
      'proxy-invalid',
      `the environment names a proxy that cannot be used: ${(error as Error).message}`,
      {
        hint: 'correct http_proxy and https_proxy, as in http://proxy:3128, or unset them',
        cause: error,
      },
    );
  }
  return {
    get: (url, headers, signal) => follow(agent, url, headers, signal),
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}

async function follow(
  agent: Dispatcher,
  start: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  let url = start;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    checkProtocol(url);
    const {
      statusCode,
      headers: answered,
      body,
    } = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: { ...headers, ...authorization(url) },
      signal,
    });
    // A body that is dropped says so as an error, which is to be nobody's crash.
    body.on('error', () => undefined);
    const header = (name: string) => [answered[name]].flat()[0];
    const location = header('location');
    if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined)
      return { status: statusCode, header, body };
    body.destroy();
    if (!URL.canParse(location, url.href)) throw new AddressError('it redirects to what is no address');
    const next = new URL(location, url);
    // A password is for the server that it was given for.
    if (next.origin === url.origin && next.username === '') {
      next.username = url.username;
      next.password = url.password;
    }
    url = next;
  }
  throw new AddressError(`it redirects more than ${MOST_REDIRECTS} times, at last to ${withoutSecrets(url.href)}`);
}

function checkProtocol(url: URL): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new AddressError(`only http: and https: addresses are downloaded, not ${url.protocol}`);
}

function authorization(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const plain = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(plain).toString('base64')}` };
}

/** As curl does, `proxy:3128` is taken for an http: proxy. */
function proxyAddress(value: string): string {
  return value === '' || value.includes('://') ? value : `http://${value}`;
}
