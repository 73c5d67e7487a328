import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';

/** The key with which this build, and nobody else, logs in to its guest. It lives in memory and dies with the build. */
export interface BuildKey {
  /** One line in the format of `authorized_keys`, without line end: type, key, comment. */
  readonly publicKey: string;
  /** The key itself in Base64: what is looked for when it is removed, whatever was written around it. */
  readonly body: string;
  /** In OpenSSH's own format. */
  readonly privateKey: string;
  /** Writes the private key to a new file that only the owner can read, for `ssh -i`. The caller removes it. */
  writeTo(path: string): Promise<void>;
}

const TYPE = 'ssh-ed25519';

/** Makes an Ed25519 key. Its comment is unique, so that a person who finds it in a guest knows where it came from. */
export function createBuildKey(): BuildKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const comment = `polyvisor-build-${randomBytes(6).toString('hex')}`;
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  const body = Buffer.concat([field(TYPE), field(point)]);
  const text = opensshPrivateKey(body, point, seed, comment);
  return {
    publicKey: `${TYPE} ${body.toString('base64')} ${comment}`,
    body: body.toString('base64'),
    privateKey: text,
    writeTo: (path) => writePrivately(path, text),
  };
}

/** The file format that OpenSSH's PROTOCOL.key describes, for one key without passphrase. */
function opensshPrivateKey(body: Buffer, point: Buffer, seed: Buffer, comment: string): string {
  // The same number twice tells a reader that it decrypted the rest well; nothing is encrypted here.
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, body, field(Buffer.concat([seed, point])), field(comment)]);
  // Filled up with 1, 2, 3, … to the cipher's block size, which is 8 for "none".
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'),
    field('none'),
    field(''),
    Buffer.from([0, 0, 0, 1]),
    field(body),
    field(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString('base64').match(/.{1,70}/g) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

/** RFC 4251 §5, "string": its length in four bytes, then the bytes. */
function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** New, so that nobody else has it open or made it a link. */
async function writePrivately(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
}
