import type { Socket } from 'node:net';
import type { Client, ClientChannel } from 'ssh2';

/** In milliseconds. */
const FAREWELL = 500;

/** A logged-in SSH connection. Ending it is idempotent. */
export class Connection {
  readonly #client: Client;
  readonly #socket: Socket;
  /** The server's introduction, such as `SSH-2.0-dropbear`. */
  readonly banner: string;
  /** Settles when the connection is gone, with the reason as far as it is known; never rejects. */
  readonly closed: Promise<string>;
  #gone: string | undefined;

  constructor(client: Client, socket: Socket, banner: string) {
    this.#client = client;
    this.#socket = socket;
    this.banner = banner;
    let words = 'the guest closed it';
    client.on('error', (error) => {
      words = error.message;
    });
    this.closed = new Promise((resolve) => {
      client.once('close', () => {
        this.#gone = words;
        resolve(words);
      });
    });
  }

  /** Why it is gone; undefined while it stands. */
  get gone(): string | undefined {
    return this.#gone;
  }

  /** Starts a command by the login shell of the user. */
  start(command: string): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      // ssh2 calls back for open requests when the connection closes, but throws when it is closed already.
      this.#client.exec(command, (error, channel) => (error === undefined ? resolve(channel) : reject(error)));
    });
  }

  end(): void {
    this.#client.end();
    // Its farewell cannot be sent to a guest that is gone.
    setTimeout(() => this.#socket.destroy(), FAREWELL).unref();
  }
}
