interface Property {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly Property[];
  readonly oneOf?: readonly Property[];
  readonly items?: Property;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Options as their author described them, for people. `schema` is JSON Schema. */
export function optionLines(schema: object): string[] {
  const { properties = {}, required = [] } = schema as {
    properties?: Readonly<Record<string, Property>>;
    required?: readonly string[];
  };
  const entries = Object.entries(properties);
  if (entries.length === 0) return ['no options'];
  return entries.flatMap(([name, property]) => {
    const rest = [
      valuesOf(property),
      property.default === undefined ? undefined : `default ${JSON.stringify(property.default)}`,
      required.includes(name) ? 'required' : undefined,
    ].filter((part) => part !== undefined && part !== '');
    return [
      `${name}: ${rest.join(', ')}`,
      ...(property.description === undefined ? [] : [`    ${property.description}`]),
    ];
  });
}

function valuesOf(property: Property): string {
  const either = property.anyOf ?? property.oneOf;
  if (either !== undefined) return [...new Set(either.map(valuesOf))].join(' or ');
  if (property.const !== undefined) return JSON.stringify(property.const);
  if (property.enum !== undefined) return property.enum.map(String).join(' | ');
  if (property.type === 'array') return `list of ${property.items === undefined ? 'values' : valuesOf(property.items)}`;
  const { minimum, maximum } = property;
  const bounded = (bound: number | undefined) => bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER;
  const range =
    bounded(minimum) && bounded(maximum)
      ? ` from ${minimum} to ${maximum}`
      : bounded(minimum)
        ? ` from ${minimum}`
        : bounded(maximum)
          ? ` up to ${maximum}`
          : '';
  const type = property.type === undefined ? 'value' : [property.type].flat().join(' or ');
  return `${type === 'string' ? 'text' : type}${range}`;
}
