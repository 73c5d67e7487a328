import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { RULES, type Rule, type RuleName } from './rules.js';

const READING = { refuse: 'refused', warn: 'warns', accept: 'accepted' } as const;
const PEOPLE = { hyperv: 'Hyper-V', kvm: 'QEMU', virtualbox: 'VirtualBox' } as const;

it('are described as they are', async () => {
  const page = await readFile(new URL('../../../docs/formats/vhdx.md', import.meta.url), 'utf8');
  const described = page.match(/^\| `vhdx-.*$/gm)?.map((row) => row.split('|').slice(1, 5).join('|'));
  const rows = (Object.keys(RULES) as RuleName[]).map((name) => {
    const { severity, refusedBy, reading }: Rule = RULES[name];
    const who = refusedBy.length === 3 ? 'all' : refusedBy.map((consumer) => PEOPLE[consumer]).join(', ');
    return ` \`${name}\` | ${severity} | ${who}${who === '' ? '' : ' '}| ${READING[reading]} `;
  });
  expect(described).toEqual(rows);
});
