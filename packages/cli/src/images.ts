import { basename } from 'node:path';
import { convert, createIdentity, type Images, seedOf } from '@polyvisor/core';
import { factsOf } from './disk-facts.js';
import { openImage } from './image.js';
import type { Session } from './session.js';

/** What provisioners that start from an image read and write with: all formats that are loaded. */
export function sessionImages(session: Session): Images {
  return {
    open: async (path, format) => {
      const image = await openImage(session, path, format === undefined ? {} : { from: [format] });
      const { size } = image.disk;
      return {
        size,
        extents: (signal) => image.disk.extents(signal),
        read: (into, offset) => image.disk.read(into, offset),
        [Symbol.asyncDispose]: () => image[Symbol.asyncDispose](),
      };
    },
    write: async (disk, format, path) => {
      const host = await session.host();
      await convert({
        source: disk,
        targets: [{ converter: host.converter(format), options: {}, path }],
        identity: createIdentity(await seedOf(disk)),
        appliance: await factsOf(basename(path), disk),
        force: false,
        verify: false,
        emit: (event) => event.type !== 'artifact' && session.emit(event),
        signal: session.signal,
      });
    },
  };
}
