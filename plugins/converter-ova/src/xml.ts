/** An element and what is in it: text, or elements. */
export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly content: string | readonly Element[];
}

export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...content: readonly Element[] | readonly [string | number]
): Element {
  const [first] = content;
  return {
    name,
    attributes,
    content: typeof first === 'object' || first === undefined ? (content as Element[]) : String(first),
  };
}

/**
 * An XML document, indented by two spaces. The bytes are ours to the last one, because a manifest carries their hash.
 * Attributes keep their order.
 */
export function xmlDocument(root: Element): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${[...lines(root, '')].join('\n')}\n`;
}

function* lines({ name, attributes, content }: Element, indent: string): Generator<string> {
  const open = [name, ...Object.entries(attributes).map(([key, value]) => `${key}="${escapeXml(String(value))}"`)].join(
    ' ',
  );
  if (typeof content === 'string') {
    yield `${indent}<${open}>${escapeXml(content)}</${name}>`;
  } else if (content.length === 0) {
    yield `${indent}<${open}/>`;
  } else {
    yield `${indent}<${open}>`;
    for (const child of content) yield* lines(child, `${indent}  `);
    yield `${indent}</${name}>`;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Escapes for text and for attributes alike. What XML 1.0 has no way to hold is left out; line ends survive as references. */
export function escapeXml(text: string): string {
  return text
    .replace(/(?![\t\n\r])\p{Control}|[\ufffe\uffff]/gu, '')
    .replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
    .replace(/[\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}
