import { uuidBytes } from './uuid.js';

const PAGE = 4096;

/** The header of a Linux swap area: mkswap(8)'s version 1, with pages of 4096 bytes. The rest of the area is never read before it is written. */
export function swapHeader(bytes: number, uuid: string, label: string): Uint8Array {
  const page = new Uint8Array(PAGE);
  const view = new DataView(page.buffer);
  view.setUint32(1024, 1, true);
  view.setUint32(1028, Math.floor(bytes / PAGE) - 1, true); // number of the last page
  page.set(uuidBytes(uuid), 1036);
  page.set(new TextEncoder().encode(label).subarray(0, 16), 1052);
  page.set(new TextEncoder().encode('SWAPSPACE2'), PAGE - 10);
  return page;
}
