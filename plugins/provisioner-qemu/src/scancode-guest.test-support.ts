/**
 * A boot sector that reads the keyboard's controller itself, without the firmware, and says every byte that comes as two hexadecimal
 * digits on the first serial port, after `ready`. Bytes are of scan code set 1, as PCs have them.
 */
export function scancodeGuest(): Buffer {
  const sector = Buffer.alloc(512);
  CODE.copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

// prettier-ignore
const CODE = Buffer.from([
  0xfa,                         // cli
  0x31, 0xc0, 0x8e, 0xd8,       // xor ax, ax; mov ds, ax
  0x8e, 0xd0, 0xbc, 0x00, 0x7c, // mov ss, ax; mov sp, 0x7c00
  0xba, 0xf8, 0x03,             // mov dx, 0x3f8     the first serial port
  0xbe, 0x39, 0x7c,             // mov si, text
  0xac, 0x84, 0xc0, 0x74, 0x03, // next: lodsb; test al, al; jz poll
  0xee, 0xeb, 0xf8,             // out dx, al; jmp next
  0xe4, 0x64, 0xa8, 0x01, 0x74, 0xfa, // poll: in al, 0x64; test al, 1; jz poll
  0xe4, 0x60,                   // in al, 0x60
  0x88, 0xc4,                   // mov ah, al
  0xc0, 0xe8, 0x04, 0xe8, 0x07, 0x00, // shr al, 4; call digit
  0x88, 0xe0, 0xe8, 0x02, 0x00, // mov al, ah; call digit
  0xeb, 0xe9,                   // jmp poll
  0x24, 0x0f, 0x04, 0x90, 0x27, // digit: and al, 15; add al, 0x90; daa
  0x14, 0x40, 0x27,             // adc al, 0x40; daa
  0xee, 0xc3,                   // out dx, al; ret
  ...Buffer.from('ready '), 0,  // text
]);
