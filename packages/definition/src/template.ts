/** A `<% … %>` in a text. */
export interface TemplateMark {
  /** Of its first character. */
  readonly start: number;
  /** Absent when it is not of the form `<%= name %>`. */
  readonly name?: string;
  /** For messages. */
  readonly text: string;
}

/** Longest stretch in which the end of a mark is looked for, in characters. */
const LONGEST = 256;

/** All marks of a text in their order. `<%%` stands for `<%` itself and is none. */
export function* templateMarks(text: string): Generator<TemplateMark> {
  for (let start = text.indexOf('<%'); start >= 0;) {
    if (text[start + 2] === '%') {
      start = text.indexOf('<%', start + 3);
      continue;
    }
    const length = text.slice(start, start + LONGEST).indexOf('%>');
    const whole = length < 0 ? '<%' : text.slice(start, start + length + 2);
    const name = /^<%=\s*([A-Za-z_][\w.-]*)\s*%>$/.exec(whole)?.[1];
    yield { start, text: whole, ...(name === undefined ? {} : { name }) };
    start = text.indexOf('<%', start + whole.length);
  }
}

/** How to write what was meant. */
export const TEMPLATE_HINT = 'write <%= name %> for a value, and <%% for <% itself; no code is run';
