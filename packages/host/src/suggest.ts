/** The known name that somebody who wrote `given` most likely meant, or undefined when none is near. */
export function suggest(given: string, known: readonly string[]): string | undefined {
  const near = known
    .map((name) => ({ name, distance: name.includes(given) || given.includes(name) ? 1 : distance(given, name) }))
    .filter(({ name, distance }) => distance <= Math.max(2, Math.floor(name.length / 3)))
    .sort((one, other) => one.distance - other.distance);
  return near[0]?.name;
}

/** Edits (insert, delete, replace a character) that turn one text into the other: Levenshtein's distance. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let line = 1; line <= one.length; line++) {
    const next = [line];
    for (let column = 1; column <= other.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (one[line - 1] === other[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
