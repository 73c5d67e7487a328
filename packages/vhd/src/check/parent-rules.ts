import type { Finding, ImageFile } from '@polyvisor/core';
import { UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { DISK_TYPE, FOOTER, HEADER, LOCATOR, PLATFORM } from '../layout.js';
import { locatorName, locatorSpace, type ParentLocator, parentLocators } from '../parent-locators.js';
import { BLKTAP } from './consumers.js';
import { CLOCK_SLACK, isAhead } from './footer-rules.js';
import { blktapBaseName, blktapParentName, isFollowed } from './locator-text.js';
import { applyRules, finding, firstNonZero, type Rule } from './rule.js';

export interface ParentSubject {
  readonly bytes: Buffer;
  /** Of the dynamic header in the file, in bytes. */
  readonly at: number;
  readonly fileSize: number;
  readonly now: number | undefined;
}

/** 22: a dynamic disk has no parent, and nothing that looks like one. */
export const noParentRules: readonly Rule<ParentSubject>[] = [
  {
    rule: 'parent-name-set',
    severity: 'error',
    message: 'a dynamic disk has the name of a parent',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const index = firstNonZero(bytes.subarray(HEADER.parentName, HEADER.parentName + HEADER.parentNameSize));
      if (index === undefined) return undefined;
      const found = { offset: at + HEADER.parentName, expected: 'zeros', found: `a byte at ${index} that is not` };
      return index === 0 ? { ...found, refusedBy: [] } : found; // overlooked, as in the footer's reserved bytes
    },
  },
  {
    rule: 'parent-locators-set',
    severity: 'error',
    message: 'a dynamic disk has parent locators',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const index = firstNonZero(bytes.subarray(HEADER.locators, HEADER.moreReserved));
      if (index === undefined) return undefined;
      const found = { offset: at + HEADER.locators, expected: 'zeros', found: `a byte at ${index} that is not` };
      // The first byte is overlooked again, but by now the code is in the order of an Intel processor: it is the code's last.
      return bytes.readUInt8(HEADER.locators + 3) !== 0 ? { ...found, refusedBy: [] } : found;
    },
  },
  {
    rule: 'parent-uuid-set',
    severity: 'error',
    message: 'a dynamic disk has the unique id of a parent',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      firstNonZero(bytes.subarray(HEADER.parentUniqueId, HEADER.parentUniqueId + 16)) !== undefined && {
        offset: at + HEADER.parentUniqueId,
        expected: 'zeros',
        found: bytes.toString('hex', HEADER.parentUniqueId, HEADER.parentUniqueId + 16),
      },
  },
  {
    rule: 'parent-time-set',
    severity: 'error',
    message: 'a dynamic disk has the time of a parent',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      bytes.readUInt32BE(HEADER.parentTimestamp) !== 0 && {
        offset: at + HEADER.parentTimestamp,
        expected: '0',
        found: `${bytes.readUInt32BE(HEADER.parentTimestamp)}`,
      },
  },
];

/** 23: what a differencing disk says of its parent, on its own. */
export const parentRules: readonly Rule<ParentSubject>[] = [
  {
    rule: 'parent-time',
    severity: 'warning',
    message: 'the parent was written in the future',
    refusedBy: BLKTAP,
    breach: ({ bytes, at, now }) => {
      const timestamp = bytes.readUInt32BE(HEADER.parentTimestamp);
      return (
        isAhead(timestamp, now) && {
          offset: at + HEADER.parentTimestamp,
          expected: `at most ${CLOCK_SLACK} seconds ahead`,
          found: new Date((timestamp + UNIX_SECONDS_OF_2000) * 1000).toISOString(),
        }
      );
    },
  },
  {
    rule: 'parent-name',
    severity: 'warning',
    message: 'blktap reads names of parents in ASCII only',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      blktapParentName(bytes) === undefined && {
        offset: at + HEADER.parentName,
        expected: 'ASCII characters in UTF-16, big-endian',
        found: 'others',
      },
  },
  {
    rule: 'locator-unused', // 31
    severity: 'error',
    message: 'a parent locator that is not used is not empty',
    refusedBy: BLKTAP,
    breach: (subject) =>
      place(
        subject,
        (locator) => locator.code === PLATFORM.none && fieldsOf(locator).some((field) => field !== 0n),
        'zeros',
      ),
  },
  {
    rule: 'locator-empty', // 31
    severity: 'error',
    message: 'a parent locator has no place, no space or no text',
    refusedBy: BLKTAP,
    breach: (subject) =>
      place(
        subject,
        ({ code, offset, space, length }) => code !== PLATFORM.none && (offset === 0n || space === 0 || length === 0),
        'an offset, a space and a length that are not 0',
      ),
  },
  {
    rule: 'locator-outside', // 31
    severity: 'error',
    message: 'the text of a parent locator is not inside the file',
    refusedBy: BLKTAP,
    breach: (subject) => {
      const end = BigInt(subject.fileSize - FOOTER.size);
      return place(
        subject,
        (locator) => locator.code !== PLATFORM.none && locator.offset + BigInt(locatorSpace(locator)) > end,
        `an end of at most ${end}`,
      );
    },
  },
  {
    rule: 'locator-reserved', // 31
    severity: 'error',
    message: 'the reserved bytes of a parent locator are not zero',
    refusedBy: BLKTAP,
    breach: (subject) => place(subject, ({ code, reserved }) => code !== PLATFORM.none && reserved !== 0, '0'),
  },
  {
    rule: 'locator-twice', // 32
    severity: 'warning',
    message: 'there are two parent locators of one kind',
    refusedBy: BLKTAP,
    breach: (subject) =>
      place(
        subject,
        ({ code }, index, all) => code !== PLATFORM.none && all.findIndex((other) => other.code === code) !== index,
        'one of each kind',
      ),
  },
  {
    rule: 'locators-missing', // 34
    severity: 'warning',
    message: 'no parent locator has a path that blktap follows',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      !parentLocators(bytes).some(({ code }) => isFollowed(code)) && {
        offset: at + HEADER.locators,
        expected: 'W2ru, W2ku or MacX',
        found: 'none of them',
      },
  },
];

function fieldsOf({ space, length, reserved, offset }: ParentLocator): bigint[] {
  return [BigInt(space), BigInt(length), BigInt(reserved), offset];
}

function place(
  { bytes, at }: ParentSubject,
  wrong: (locator: ParentLocator, index: number, all: readonly ParentLocator[]) => boolean,
  expected: string,
) {
  const locators = parentLocators(bytes);
  const index = locators.findIndex(wrong);
  const locator = locators[index];
  return (
    locator !== undefined && {
      offset: at + HEADER.locators + index * LOCATOR.size,
      expected,
      found: `${locatorName(locator.code)}: ${locator.length} bytes at ${locator.offset}, space ${locator.space}`,
    }
  );
}

/** What a header says of a parent, and what the texts of its locators do. Whether the parent is there is not looked at. */
export async function* checkParent(file: ImageFile, type: number, subject: ParentSubject): AsyncGenerator<Finding> {
  if (type !== DISK_TYPE.differencing) {
    yield* applyRules(noParentRules, subject);
    return;
  }
  yield* applyRules(parentRules, subject);
  const expected = blktapParentName(subject.bytes);
  if (expected === undefined) return;
  for (const [index, locator] of parentLocators(subject.bytes).entries()) {
    if (!isFollowed(locator.code)) continue;
    const name = await blktapBaseName(file, locator); // 33
    if (name === expected) continue;
    yield finding(
      {
        rule: 'locator-text',
        severity: 'warning',
        message:
          name === undefined ? 'the text of a parent locator cannot be read' : 'a parent locator leads to another name',
        refusedBy: BLKTAP,
      },
      {
        offset: subject.at + HEADER.locators + index * LOCATOR.size,
        expected: `a path in ASCII, on a sector, that ends with ${JSON.stringify(expected)}`,
        found: name === undefined ? locatorName(locator.code) : JSON.stringify(name.slice(0, 256)),
      },
    );
  }
}
