// Text as one word of a POSIX shell, for command lines that people copy. Pure.
// POSIX.1-2017, Shell Command Language, section 2.2 (Quoting).

/** The text itself where it is plain, else in single quotes. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
