// "Did you mean": the known word closest to a mistyped one, for keys, flags, enums and grants.
// Levenshtein distance, two swapped letters counted as one mistake; pure, and bounded, since the word comes from outside.

/** A longer word is no typing mistake. */
const MAX_WORD = 64;

/** The known word at the smallest distance, if that is small for its length; the first of equals. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD) return undefined;
  let best: string | undefined;
  // A word of three letters is another word when two of them differ.
  const limit = word.length <= 3 ? 1 : Math.max(2, Math.floor(word.length / 3));
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const away = distance(word.toLowerCase(), candidate.toLowerCase());
    if (away < bestDistance && away < candidate.length) {
      best = candidate;
      bestDistance = away;
    }
  }
  return best;
}

/** `, did you mean "x"?` or nothing: the end of a message. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const match = nearest(word, known);
  return match === undefined ? "" : `, did you mean ${JSON.stringify(match)}?`;
}

function distance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, (before[j - 2] ?? 0) + 1);
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
