/**
 * What the keys of a layout give, in the order of `KEY_ROWS`: `plain` alone, `shift`, `altGr` and `both` with those held.
 * A space stands for nothing worth typing. The marks ˆ ˋ ˊ ˜ ¨ ¸ are dead keys, which change the letter after them.
 */
export interface Layout {
  readonly plain: readonly string[];
  readonly shift: readonly string[];
  readonly altGr?: readonly string[];
  readonly both?: readonly string[];
}

/** By the names that X keyboard layouts have, which Linux, its installers and consoles share. What no key cap shows is left out. */
export const LAYOUTS = {
  be: {
    plain: ['²&é"\'(§è!çà)-', 'azertyuiopˆ$', 'qsdfghjklmùµ', '<wxcvbn,;:='],
    shift: ['³1234567890°_', 'AZERTYUIOP¨*', 'QSDFGHJKLM%£', '>WXCVBN?./+'],
    altGr: [' |@#  ^  {}', '  €       []', '          ˊˋ', '\\         ˜'],
  },
  ch: {
    plain: ["§1234567890'ˆ", 'qwertzuiopü¨', 'asdfghjklöä$', '<yxcvbnm,.-'],
    shift: ['°+"*ç%&/()=?ˋ', 'QWERTZUIOPè!', 'ASDFGHJKLéà£', '>YXCVBNM;:_'],
    altGr: [' |@#  ¬    ˊ˜', '  €       []', '          {}', '\\'],
  },
  de: {
    plain: ['ˆ1234567890ßˊ', 'qwertzuiopü+', 'asdfghjklöä#', '<yxcvbnm,.-'],
    shift: ['°!"§$%&/()=?ˋ', 'QWERTZUIOPÜ*', "ASDFGHJKLÖÄ'", '>YXCVBNM;:_'],
    altGr: ['  ²³   {[]}\\', '@ €        ~', '', '|      µ'],
  },
  dk: {
    plain: ['½1234567890+ˊ', 'qwertyuiopå¨', "asdfghjklæø'", '<zxcvbnm,.-'],
    shift: ['§!"#¤%&/()=?ˋ', 'QWERTYUIOPÅˆ', 'ASDFGHJKLÆØ*', '>ZXCVBNM;:_'],
    altGr: ['  @£$  {[]} |', '  €        ˜', '', '\\      µ'],
  },
  dvorak: {
    plain: ['`1234567890[]', "',.pyfgcrl/=", 'aoeuidhtns-\\', ' ;qjkxbmwvz'],
    shift: ['~!@#$%^&*(){}', '"<>PYFGCRL?+', 'AOEUIDHTNS_|', ' :QJKXBMWVZ'],
  },
  es: {
    plain: ["º1234567890'¡", 'qwertyuiopˋ+', 'asdfghjklñˊç', '<zxcvbnm,.-'],
    shift: ['ª!"·$%&/()=?¿', 'QWERTYUIOPˆ*', 'ASDFGHJKLÑ¨Ç', '>ZXCVBNM;:_'],
    altGr: ['\\|@#~ ¬', '  €       []', '          {}', ''],
  },
  fi: {
    plain: ['§1234567890+ˊ', 'qwertyuiopå¨', "asdfghjklöä'", '<zxcvbnm,.-'],
    shift: ['½!"#¤%&/()=?ˋ', 'QWERTYUIOPÅˆ', 'ASDFGHJKLÖÄ*', '>ZXCVBNM;:_'],
    altGr: ['  @£$  {[]}\\', '  €        ˜', '', '|      µ'],
  },
  fr: {
    plain: ['²&é"\'(-è_çà)=', 'azertyuiopˆ$', 'qsdfghjklmù*', '<wxcvbn,;:!'],
    shift: [' 1234567890°+', 'AZERTYUIOP¨£', 'QSDFGHJKLM%µ', '>WXCVBN?./§'],
    altGr: ['  ~#{[|`\\^@]}', '  €        ¤', '', ''],
  },
  gb: {
    plain: ['`1234567890-=', 'qwertyuiop[]', "asdfghjkl;'#", '\\zxcvbnm,./'],
    shift: ['¬!"£$%^&*()_+', 'QWERTYUIOP{}', 'ASDFGHJKL:@~', '|ZXCVBNM<>?'],
    altGr: ['    €', '', '', ''],
  },
  it: {
    plain: ["\\1234567890'ì", 'qwertyuiopè+', 'asdfghjklòàù', '<zxcvbnm,.-'],
    shift: ['|!"£$%&/()=?^', 'QWERTYUIOPé*', 'ASDFGHJKLç°§', '>ZXCVBNM;:_'],
    altGr: ['           `~', '  €       []', '         @#', ''],
    both: ['', '          {}', '', ''],
  },
  jp: {
    plain: [' 1234567890-^', 'qwertyuiop@[', 'asdfghjkl;:]', ' zxcvbnm,./', '\\'],
    shift: [' !"#$%&\'() =~', 'QWERTYUIOP`{', 'ASDFGHJKL+*}', ' ZXCVBNM<>?', '|_'],
  },
  no: {
    plain: ['|1234567890+\\', 'qwertyuiopå¨', "asdfghjkløæ'", '<zxcvbnm,.-'],
    shift: ['§!"#¤%&/()=?ˋ', 'QWERTYUIOPÅˆ', 'ASDFGHJKLØÆ*', '>ZXCVBNM;:_'],
    altGr: ['  @£$  {[]} ˊ', '  €        ˜', '', '       µ'],
  },
  pt: {
    plain: ["\\1234567890'«", 'qwertyuiop+ˊ', 'asdfghjklçº˜', '<zxcvbnm,.-'],
    shift: ['|!"#$%&/()=?»', 'QWERTYUIOP*ˋ', 'ASDFGHJKLÇªˆ', '>ZXCVBNM;:_'],
    altGr: ['  @£§  {[]}', '  €       ¨', '', ''],
  },
  se: {
    plain: ['§1234567890+ˊ', 'qwertyuiopå¨', "asdfghjklöä'", '<zxcvbnm,.-'],
    shift: ['½!"#¤%&/()=?ˋ', 'QWERTYUIOPÅˆ', 'ASDFGHJKLÖÄ*', '>ZXCVBNM;:_'],
    altGr: ['  @£$€ {[]}\\', '  €        ˜', '', '|      µ'],
  },
  us: {
    plain: ['`1234567890-=', 'qwertyuiop[]', "asdfghjkl;'\\", ' zxcvbnm,./'],
    shift: ['~!@#$%^&*()_+', 'QWERTYUIOP{}', 'ASDFGHJKL:"|', ' ZXCVBNM<>?'],
  },
} as const satisfies Readonly<Record<string, Layout>>;
