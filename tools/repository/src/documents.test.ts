import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, readText, root } from './repository.js';

const documents = filesBelow('.').filter((path) => path.endsWith('.md'));

interface Link {
  readonly line: number;
  readonly target: string;
}

/** Text without its code, where brackets are no links; lines stay where they are. */
function prose(text: string): string {
  return text
    .replace(/^(```+)[^\n]*\n[\s\S]*?^\1$/gm, (block) => block.replace(/[^\n]/g, ''))
    .replace(/`[^`\n]*`/g, '``');
}

function links(text: string): Link[] {
  return prose(text)
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => ({ line: index + 1, target: match[1] ?? '' })),
    )
    .filter(({ target }) => !/^[a-z]+:/.test(target));
}

/** Anchors of the headings, as the usual renderers of Markdown name them. */
function anchors(text: string): string[] {
  const headings = text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, heading]) =>
    (heading ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

function problem(document: string, { target }: Link): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? document : normalize(join(dirname(document), path));
  if (!existsSync(join(root, file))) return 'there is no such file';
  if (anchor === undefined) return undefined;
  if (statSync(join(root, file)).isDirectory() || !anchors(readText(file)).includes(anchor))
    return 'there is no such heading';
  return undefined;
}

describe.each(documents)('%s', (document) => {
  it('links to what exists', () => {
    const broken = links(readText(document)).flatMap((link) => {
      const what = problem(document, link);
      return what === undefined ? [] : [`${document}:${link.line}: ${link.target}: ${what}`];
    });
    expect(broken).toEqual([]);
  });

  it('has examples in JSON that can be parsed', () => {
    for (const [, example] of readText(document).matchAll(/^```json\n([\s\S]*?)^```$/gm)) {
      expect(() => JSON.parse(example ?? '') as unknown, example).not.toThrow();
    }
  });
});

it('every page of the documentation is in its index', () => {
  const index = links(readText('docs/README.md')).map(({ target }) =>
    normalize(join('docs', target.split('#')[0] ?? '')),
  );
  const pages = documents.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md');
  // A folder stands for all in it: a new format must not have to touch a page that belongs to all.
  const listed = (path: string) => index.includes(path) || index.includes(dirname(path));
  expect(pages.filter((path) => !listed(path))).toEqual([]);
});
