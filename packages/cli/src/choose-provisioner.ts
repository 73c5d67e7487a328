import { chooseSource, type SourceChoice, sourceText } from '@polyvisor/build';
import { type Appliance, DefinitionError, type Emit, type Issue, type Provisioner } from '@polyvisor/core';
import type { Definition } from '@polyvisor/definition';

interface Candidate {
  readonly provisioner: Provisioner;
  readonly choice: SourceChoice;
}

/**
 * The provisioner for a definition that names none: of those that work here, the one that can serve the source which the definition
 * prefers. When none works here, the one that would do, whose own probe then says best what is missing.
 */
export async function provisionerFor(
  { sources, appliance, issueAt, file }: Definition,
  provisioners: readonly Provisioner[],
  emit: Emit,
  signal: AbortSignal,
): Promise<Provisioner | undefined> {
  const [only, second] = provisioners;
  // With a single one there is nothing to choose, and the build says what is wrong with it together with all else.
  if (second === undefined) return only;
  const candidates = await Promise.all(
    provisioners.map(async (provisioner): Promise<Candidate> => ({
      provisioner,
      choice: await chooseSource(sources, provisioner, appliance),
    })),
  );
  const serving = candidates.filter(({ choice }) => choice.chosen !== undefined);
  if (serving.length === 0) {
    throw new DefinitionError('source-unusable', `${file}: no provisioner can start from a source of the definition`, {
      hint: '`polyvisor plugins` lists what each provisioner can start from',
      issues: candidates.flatMap((candidate) => issuesOf(candidate, sources.length, issueAt)),
    });
  }
  const ranked = serving.sort((left, right) => rank(left, appliance) - rank(right, appliance));
  const unusable: string[] = [];
  for (const { provisioner } of ranked) {
    const probe = await provisioner.probe(signal);
    if (probe.usable) {
      for (const message of unusable) emit({ type: 'log', level: 'info', scope: 'build', message });
      return provisioner;
    }
    unusable.push(`the provisioner ${provisioner.id} cannot work on this machine: ${probe.reason}`);
  }
  return ranked[0]?.provisioner;
}

/** By the place of the source in the definition; behind all others, who cannot make such an appliance. */
function rank({ provisioner: { capabilities }, choice }: Candidate, { architecture, firmware }: Appliance): number {
  const canMake =
    capabilities.architectures.includes(architecture) && firmware.every((kind) => capabilities.firmware.includes(kind));
  return (choice.chosen?.index ?? 0) + (canMake ? 0 : 1000);
}

function issuesOf({ provisioner, choice }: Candidate, count: number, issueAt: Definition['issueAt']): readonly Issue[] {
  return choice.passedOver.map(({ source, index, reason }) =>
    issueAt(['source', ...(count === 1 ? [] : [index])], `${provisioner.id}: ${sourceText(source)}: ${reason}`),
  );
}
