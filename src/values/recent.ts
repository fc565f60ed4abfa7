// A map in order of use, bounded: what was used longest ago gives way. A Map keeps the order of insertion, so that
// putting an entry in anew is all it takes.

/** Puts the entry last, whether it was there or not, and drops the first where there are too many then. */
export function putLast<K, V>(map: Map<K, V>, key: K, value: V, capacity: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= capacity) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
