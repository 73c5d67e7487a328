import type { Finding } from '@polyvisor/core';
import { contentId, type DescriptorText, type ExtentLine, NO_PARENT, quote } from './descriptor-parser.js';
import { error, warning } from './finding.js';

const ADAPTERS: ReadonlySet<string> = new Set(['ide', 'buslogic', 'lsilogic', 'legacyESX', 'pvscsi']);

/** Rules about the text itself: how it begins, and how its lines stand. */
export function* checkText(text: string, offset: number): Generator<Finding> {
  const lines = text.split(/\r?\n/);
  if (lines[0]?.trim() !== '# Disk DescriptorFile')
    yield warning('vmdk-descriptor-first-line', 'programs look for the first line of a descriptor', [], {
      offset,
      expected: '# Disk DescriptorFile',
      found: quote(lines[0]),
    });
  const indented = lines.find((line) => /^\s+\S/.test(line));
  if (indented !== undefined)
    yield warning('vmdk-descriptor-indented', 'VirtualBox does not read lines that begin with blanks', ['virtualbox'], {
      offset,
      found: quote(indented),
    });
}

/** Rules about the settings, whatever the kind of disk. */
export function* checkSettings({ settings }: DescriptorText, offset: number): Generator<Finding> {
  const version = settings.get('version');
  const details = { offset, expected: '1', found: quote(version) };
  if (version === undefined || !/^[123]$/.test(version))
    yield error('vmdk-descriptor-version', 'the version of the descriptor is unknown', ['kvm', 'virtualbox'], details);
  else if (version !== '1')
    yield warning('vmdk-descriptor-version', 'VirtualBox reads descriptors of version 1 only', ['virtualbox'], details);
  const own = contentId(settings.get('CID'));
  if (own === undefined || own === NO_PARENT || own === 'fffffffe')
    yield warning('vmdk-content-id', 'the content ID is absent or has a meaning of its own', [], {
      offset,
      expected: 'eight hexadecimal digits other than ffffffff and fffffffe',
      found: quote(settings.get('CID')),
    });
  const parent = settings.get('parentCID');
  if (parent !== undefined && contentId(parent) === undefined)
    yield error('vmdk-parent-id', "the parent's content ID is not a number of 32 bits", ['kvm'], {
      offset,
      found: quote(parent),
    });
  if (settings.has('parentFileNameHint') && (contentId(parent) ?? NO_PARENT) === NO_PARENT)
    yield error('vmdk-parent-hint', 'a parent is named that there is not; QEMU opens the file of that name', [], {
      offset,
      found: quote(settings.get('parentFileNameHint')),
    });
  const adapter = settings.get('ddb.adapterType');
  if (adapter !== undefined && !ADAPTERS.has(adapter))
    yield warning('vmdk-adapter', 'the kind of controller is unknown', [], {
      offset,
      expected: [...ADAPTERS].join(', '),
      found: quote(adapter),
    });
}

/** What no extent of a file from a stranger may name: other programs open it. */
export function* checkNames(extents: readonly ExtentLine[], offset: number): Generator<Finding> {
  for (const { name } of extents) {
    if (name === undefined || !/[/\\:]/.test(name)) continue;
    yield error('vmdk-foreign-name', 'an extent is named by a path or an address; QEMU opens what is there', [], {
      offset,
      expected: 'the plain name of a file in the same folder',
      found: quote(name),
      hint: 'CVE-2022-47951: do not give the file to other programs',
    });
  }
}
