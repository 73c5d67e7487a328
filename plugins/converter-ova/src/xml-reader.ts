import { XMLParser, XMLValidator } from 'fast-xml-parser';

/** An element as a reader sees it: names without their namespace prefix, entities decoded. */
export interface XmlNode {
  readonly name: string;
  /** As they are in the file, with their prefixes. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlNode[];
  readonly text: string;
}

/** Elements inside each other beyond which a document is refused; an OVF has about six. */
const MAX_DEPTH = 64;

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  // Decoded below, and only the predefined ones: no expansion can grow.
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: MAX_DEPTH,
});

/** What the parser makes of an element when it keeps the order: one key with the children, `:@` with the attributes. */
type Ordered = Readonly<Record<string, readonly Ordered[] | Readonly<Record<string, string>> | string>>;

/** Parses a document into its root element. Returns what is wrong with it, for people, when it is not plain XML. */
export function parseXml(bytes: Uint8Array): XmlNode | string {
  let source: string;
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return 'it is not UTF-8';
  }
  // Entities of a document's own can include files and grow without end; no descriptor needs them.
  if (/<!\s*(?:DOCTYPE|ENTITY)/i.test(source)) return 'it has a DOCTYPE, which no OVF needs';
  try {
    const valid = XMLValidator.validate(source);
    if (valid !== true) return `line ${valid.err.line}: ${printable(valid.err.msg)}`;
    const roots = (parser.parse(source) as Ordered[]).map((each) => nodeOf(each)).filter((each) => each !== undefined);
    return roots.length === 1 && roots[0] !== undefined ? roots[0] : `it has ${roots.length} root elements`;
  } catch (error) {
    return printable((error as Error).message);
  }
}

function nodeOf(ordered: Ordered): XmlNode | undefined {
  const tag = Object.keys(ordered).find((key) => key !== ':@');
  if (tag === undefined || tag.startsWith('#')) return undefined;
  const inside = ordered[tag] as readonly Ordered[];
  const attributes = Object.entries((ordered[':@'] ?? {}) as Readonly<Record<string, string>>);
  return {
    name: localName(tag),
    attributes: new Map(attributes.map(([key, value]) => [key, decode(value)])),
    children: inside.map((each) => nodeOf(each)).filter((each) => each !== undefined),
    text: inside.map((each) => (typeof each['#text'] === 'string' ? decode(each['#text']) : '')).join(''),
  };
}

/** The one child of that name, or undefined when there is none or more than one. */
export function child(node: XmlNode | undefined, name: string): XmlNode | undefined {
  const found = children(node, name);
  return found.length === 1 ? found[0] : undefined;
}

export function children(node: XmlNode | undefined, name: string): readonly XmlNode[] {
  return node?.children.filter((each) => each.name === name) ?? [];
}

/** An attribute by its name, whatever its prefix. Undefined when it is absent, or there under two prefixes. */
export function attribute(node: XmlNode, name: string): string | undefined {
  const found = [...node.attributes].filter(([key]) => localName(key) === name);
  return found.length === 1 ? found[0]?.[1] : undefined;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

const PREDEFINED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decode(text: string): string {
  return text.replace(
    /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi,
    (whole, name: string | undefined, decimal: string | undefined, hex: string | undefined) => {
      if (name !== undefined) return PREDEFINED[name] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
      return code <= 0x10_ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/** Cut short, and without characters that a terminal would obey: for what a stranger wrote. */
export function printable(text: string): string {
  return text.slice(0, 100).replace(/\p{Control}/gu, '\ufffd');
}
