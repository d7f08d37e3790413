/** Texts as the shell, JSON, Python and Rust write them. */

/** Characters that do not show, or that change how others show: control, format and unassigned ones, line separators. */
const HIDDEN = /[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu;

const hex = (code: number, digits = 0) => code.toString(16).padStart(digits, "0");

/** Quotes a text for a POSIX shell. */
export const shell = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** Writes a value as JSON: in one line, or indented. */
export function json(value: unknown, indent?: number): string {
  const units = (hidden: string) => hidden.split("").map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`);
  return JSON.stringify(value, null, indent).replace(HIDDEN, (hidden) => units(hidden).join(""));
}

/** Quotes a text as a literal; `escape` writes a hidden character by its code point. */
function literal(text: string, escape: (code: number) => string): string {
  const quoted = text.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n");
  return `"${quoted.replace(HIDDEN, (hidden) => escape(hidden.codePointAt(0)!))}"`;
}

export const python = (text: string) =>
  literal(text, (code) => (code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`));

export const rust = (text: string) => literal(text, (code) => `\\u{${hex(code)}}`);

/** Writes a 32-bit float with the fewest digits that give the same float. */
export function float32(value: number): string {
  for (let digits = 1; digits <= 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return String(shorter);
  }
  return String(value);
}
