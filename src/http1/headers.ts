// Header section as an ordered list: names as sent, lower-cased keys, values. Three parallel arrays, so that
// a head costs no object per field, order and case survive, and duplicates stay duplicates. RFC 9110 section 5.

/** Longer names are not kept: what a client may make stay has a bound. */
const MAX_KEPT_NAME = 64;
/** Lower-case names by what little tells them apart: the same few dozen names come with every message. */
const KEYS: ({ readonly name: string; readonly key: string } | undefined)[] = Array.from({ length: 256 });

/** The name in lower case. */
function keyOf(name: string): string {
  const { length } = name;
  if (length > MAX_KEPT_NAME) return name.toLowerCase();
  const at = (length * 7 + name.charCodeAt(0) * 3 + name.charCodeAt(length - 1)) & 255;
  const known = KEYS[at];
  if (known?.name === name) return known.key;
  const key = name.toLowerCase();
  KEYS[at] = { name, key };
  return key;
}

export class HeaderList {
  /** Field names exactly as they arrived. */
  readonly names: string[] = [];
  /** The same names in lower case; every comparison uses these. */
  readonly keys: string[] = [];
  /** Field values as latin1 strings without surrounding white space. */
  readonly values: string[] = [];

  get size(): number {
    return this.names.length;
  }

  push(name: string, value: string): void {
    this.names.push(name);
    this.keys.push(keyOf(name));
    this.values.push(value);
  }

  has(key: string): boolean {
    return this.keys.includes(key);
  }

  /** First value of the field, or undefined. */
  get(key: string): string | undefined {
    const at = this.keys.indexOf(key);
    return at < 0 ? undefined : this.values[at];
  }

  count(key: string): number {
    let n = 0;
    for (let i = 0; i < this.keys.length; i++) if (this.keys[i] === key) n++;
    return n;
  }

  /** All values of the field joined as one list value (RFC 9110 section 5.3), or undefined. */
  joined(key: string): string | undefined {
    let out: string | undefined;
    for (let i = 0; i < this.keys.length; i++) {
      if (this.keys[i] !== key) continue;
      out = out === undefined ? (this.values[i] as string) : `${out}, ${this.values[i]}`;
    }
    return out;
  }

  /** Removes every field, of those from `start` on, for which `drop` says so; keeps the order of the rest. */
  removeWhere(drop: (key: string, index: number) => boolean, start = 0): void {
    let kept = start;
    for (let i = start; i < this.keys.length; i++) {
      if (drop(this.keys[i] as string, i)) continue;
      if (kept !== i) {
        this.names[kept] = this.names[i] as string;
        this.keys[kept] = this.keys[i] as string;
        this.values[kept] = this.values[i] as string;
      }
      kept++;
    }
    this.names.length = this.keys.length = this.values.length = kept;
  }

  remove(key: string): void {
    if (this.has(key)) this.removeWhere((candidate) => candidate === key);
  }

  /** Replaces every field of that name by this one, at the first one's place; appends when there was none. */
  set(name: string, value: string): void {
    const key = keyOf(name);
    const first = this.keys.indexOf(key);
    if (first < 0) {
      this.push(name, value);
      return;
    }
    this.names[first] = name;
    this.values[first] = value;
    if (this.keys.indexOf(key, first + 1) >= 0) this.removeWhere((k, i) => k === key && i !== first);
  }

  /** An independent copy; the cost of keeping the client's head as it came. */
  clone(): HeaderList {
    const copy = new HeaderList();
    for (let i = 0; i < this.names.length; i++) {
      copy.names.push(this.names[i] as string);
      copy.keys.push(this.keys[i] as string);
      copy.values.push(this.values[i] as string);
    }
    return copy;
  }
}
