import { basename } from 'node:path';
import { convert, createIdentity, type Images, seedOf } from '@polyvisor/core';
import { factsOf } from './disk-facts.js';
import { openImage, owningDisk } from './image.js';
import type { Session } from './session.js';

/** What provisioners that start from an image read and write with: all formats that are loaded. */
export function sessionImages(session: Session): Images {
  return {
    open: async (path, format) =>
      owningDisk(await openImage(session, path, format === undefined ? {} : { from: [format] })),
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
