// Where a setting of a configuration stands, for those who have to find it. Plain data, no file
// is read.

/** A line of the file, or a flag. Neither: it is a default. */
export interface Origin {
  readonly line: number | undefined;
  readonly flag?: string | undefined;
}

/** A setting as written, and where. */
export interface Entry extends Origin {
  readonly text: string;
}

/** `line 12`, `--allow`, or nothing for a default. */
export function originText({ line, flag }: Origin): string | undefined {
  return line === undefined ? flag : `line ${line}`;
}
