/** The candidate that was most likely meant by `word`, or undefined when none is near enough to be worth naming. */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  const given = plain(word);
  // A longer word allows more slips; a guess that differs in half its letters helps nobody.
  let limit = Math.max(1, Math.floor(given.length / 3));
  let best: string | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > 8) continue;
    const distance = editDistance(given, plain(candidate));
    if (distance < limit || (distance === limit && best === undefined)) {
      limit = distance;
      best = candidate;
    }
  }
  return best;
}

/** `; did you mean "x"?`, or nothing: made to be appended to a message. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const guess = suggest(word, candidates);
  return guess === undefined ? '' : `; did you mean "${guess}"?`;
}

/** `kernelArguments`, `kernel_arguments` and `kernel-arguments` are the same slip of the same key. */
function plain(word: string): string {
  return word
    .slice(0, 64)
    .toLowerCase()
    .replaceAll(/[-_. ]/g, '');
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, (before[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    before = previous;
    previous = current;
  }
  return previous[right.length] ?? left.length;
}
