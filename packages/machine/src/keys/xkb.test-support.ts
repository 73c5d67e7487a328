import { execFileSync } from 'node:child_process';
import type { KeyName } from '../key.js';

/** What the keys of a layout give with nothing, shift, AltGr and both held, as libxkbcommon and the X keyboard data say. */
export type XkbLayout = ReadonlyMap<KeyName, readonly string[]>;

/** X names of the keys that type characters: the row, and the place in it. */
const X_NAMES: Readonly<Partial<Record<KeyName, string>>> = {
  grave: 'TLDE',
  backslash: 'BKSL',
  less: 'LSGT',
  yen: 'AE13',
  ro: 'AB11',
  ...row('AE', ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0', 'minus', 'equal']),
  ...row('AD', ['q', 'w', 'e', 'r', 't', 'y', 'u', 'i', 'o', 'p', 'left-bracket', 'right-bracket']),
  ...row('AC', ['a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'semicolon', 'apostrophe']),
  ...row('AB', ['z', 'x', 'c', 'v', 'b', 'n', 'm', 'comma', 'period', 'slash']),
};

/** Names of X key symbols that are not their character, in the order of the characters. */
const SYMBOLS = new Map<string, string>(
  (
    [
      [
        'exclam quotedbl numbersign dollar percent ampersand apostrophe parenleft parenright asterisk plus',
        '!"#$%&\'()*+',
      ],
      ['comma minus period slash colon semicolon less equal greater question at', ',-./:;<=>?@'],
      [
        'bracketleft backslash bracketright asciicircum underscore grave braceleft bar braceright asciitilde',
        '[\\]^_`{|}~',
      ],
      ['exclamdown cent sterling currency yen brokenbar section diaeresis copyright ordfeminine', '¡¢£¤¥¦§¨©ª'],
      ['guillemotleft notsign registered macron degree plusminus twosuperior threesuperior acute mu', '«¬®¯°±²³´µ'],
      ['paragraph periodcentered cedilla onesuperior masculine guillemotright onequarter onehalf', '¶·¸¹º»¼½'],
      ['threequarters questiondown EuroSign ssharp', '¾¿€ß'],
      ['agrave adiaeresis aring ae ccedilla egrave eacute igrave ntilde ograve odiaeresis oslash', 'àäåæçèéìñòöø'],
      ['Agrave Adiaeresis Aring AE Ccedilla Egrave Eacute Igrave Ntilde Ograve Odiaeresis Oslash', 'ÀÄÅÆÇÈÉÌÑÒÖØ'],
      ['ugrave udiaeresis Ugrave Udiaeresis', 'ùüÙÜ'],
      ['dead_circumflex dead_grave dead_acute dead_tilde dead_diaeresis dead_cedilla', 'ˆˋˊ˜¨¸'],
    ] as const
  ).flatMap(([names, characters]) => {
    const each = [...characters];
    return names.split(' ').map((name, index) => [name, each[index] ?? ''] as const);
  }),
);

/** Asks `xkbcli`, of the Debian package libxkbcommon-tools. */
export function xkbLayout(layout: string, variant = ''): XkbLayout {
  const text = execFileSync('xkbcli', ['compile-keymap', '--layout', layout, '--variant', variant], {
    encoding: 'utf8',
  });
  return new Map(
    (Object.entries(X_NAMES) as [KeyName, string][]).map(([name, xName]) => {
      const body = new RegExp(`key <${xName}>\\s*\\{([^}]*)\\}`).exec(text)?.[1] ?? '';
      const symbols = /(?:^|[\s=])\[([^\]]*)\]/.exec(body.replaceAll(/symbols\[\w+\]/g, ''))?.[1] ?? '';
      return [name, symbols.split(',').map((symbol) => characterOf(symbol.trim()))];
    }),
  );
}

/** Empty for what no layout of ours types. */
function characterOf(symbol: string): string {
  return symbol.length === 1 ? symbol : (SYMBOLS.get(symbol) ?? '');
}

function row(prefix: string, names: readonly KeyName[]): Partial<Record<KeyName, string>> {
  return Object.fromEntries(names.map((name, index) => [name, `${prefix}${String(index + 1).padStart(2, '0')}`]));
}
