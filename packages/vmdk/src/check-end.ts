import type { Finding, ImageFile } from '@polyvisor/core';
import { error, warning } from './finding.js';
import { isMarker, SAME_IN_FOOTER } from './header-reader.js';
import { DIRECTORY_IN_FOOTER, HEADER, MARKER_TYPE, SECTOR, TAIL_SIZE } from './layout.js';
import { readAt } from './refusal.js';

/** Rules about the end of a stream: its footer, where the header sends to it, and the marker behind everything. */
export async function* checkEnd(file: ImageFile, header: Buffer): AsyncGenerator<Finding> {
  const hint = 'the file is cut short, or something was appended to it';
  const inFooter = header.readBigUInt64LE(HEADER.directory) === DIRECTORY_IN_FOOTER;
  const at = file.size - TAIL_SIZE;
  if (at < HEADER.size || file.size % SECTOR !== 0) {
    yield inFooter
      ? error('vmdk-footer', 'the footer is missing', ['kvm', 'virtualbox'], { offset: Math.max(at, 0), hint })
      : warning('vmdk-end', 'the length of the file is not one of whole sectors', [], { found: `${file.size} bytes` });
    return;
  }
  const tail = await readAt(file, at, TAIL_SIZE, 'the footer');
  const ended = isMarker(tail.subarray(2 * SECTOR), MARKER_TYPE.endOfStream, 0n);
  if (!inFooter) {
    if (!ended)
      yield warning('vmdk-end', 'there is no end-of-stream marker in the last sector', ['virtualbox'], {
        offset: at + 2 * SECTOR,
        hint,
      });
    return;
  }
  if (!ended)
    yield error('vmdk-end', 'there is no end-of-stream marker in the last sector', ['kvm', 'virtualbox'], {
      offset: at + 2 * SECTOR,
      hint,
    });
  if (!isMarker(tail, MARKER_TYPE.footer, 1n))
    yield error('vmdk-footer', 'there is no footer marker three sectors before the end', ['kvm'], { offset: at, hint });
  const footer = tail.subarray(SECTOR, SECTOR + HEADER.size);
  for (const [name, from, to] of SAME_IN_FOOTER) {
    if (footer.compare(header, from, to, from, to) === 0) continue;
    yield error('vmdk-footer-differs', `header and footer disagree about the ${name}`, [], {
      offset: at + SECTOR + from,
      expected: header.toString('hex', from, to),
      found: footer.toString('hex', from, to),
    });
  }
}
