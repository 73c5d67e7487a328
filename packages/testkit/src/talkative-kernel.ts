/**
 * A kernel for tests, of 1.5 kB and for a PC with BIOS, laid out as Linux' boot protocol 2.03 has it: says its arguments, and what
 * its first disk in memory holds up to the first zero (at most 64 bytes), on the first serial port; then it restarts.
 */
export function talkativeKernel(): Buffer {
  const kernel = Buffer.alloc(3 * 512); // the boot sector, one sector of set-up, and a kernel that is never reached
  kernel[HEADER.setupSectors] = 1;
  kernel.writeUInt16LE(0xaa55, HEADER.bootFlag);
  kernel.set([0xeb, CODE_AT - HEADER.signature], HEADER.jump);
  kernel.write('HdrS', HEADER.signature, 'latin1');
  kernel.writeUInt16LE(0x0203, HEADER.version);
  kernel[HEADER.loadFlags] = 1; // loaded above 1 MiB
  kernel.writeUInt32LE(0x37ffffff, HEADER.highestInitrd);
  CODE.copy(kernel, CODE_AT);
  return kernel;
}

/** Offsets of the header's fields, in bytes. */
const HEADER = {
  setupSectors: 0x1f1,
  bootFlag: 0x1fe,
  jump: 0x200,
  signature: 0x202,
  version: 0x206,
  loadFlags: 0x211,
  highestInitrd: 0x22c,
} as const;

const CODE_AT = 0x230;

const text = (line: string) => [...Buffer.from(`${line}\0`, 'latin1')];

// Entered in real mode with DS at the boot sector.
// prettier-ignore
const CODE = Buffer.from([
  0xfc, 0xbe, 0xc5, 0x02, 0xb9, 0x04, 0x00, // cld; mov si, uart; mov cx, 4
  0xad,                                // set: lodsw
  0xb6, 0x03, 0x88, 0xc2,              // mov dh, 3; mov dl, al
  0x88, 0xe0, 0xee, 0xe2, 0xf6,        // mov al, ah; out dx, al; loop set
  0xbe, 0xcd, 0x02, 0xe8, 0x67, 0x00,  // mov si, first; call puts
  // The arguments, at the linear address that the loader put into the header.
  0x66, 0xa1, 0x28, 0x02, 0x89, 0xc6,  // mov eax, [0x228]; mov si, ax
  0x83, 0xe6, 0x0f, 0x66, 0xc1, 0xe8, 0x04, // and si, 15; shr eax, 4
  0x1e, 0x8e, 0xd8, 0xe8, 0x54, 0x00, 0x1f, // push ds; mov ds, ax; call puts; pop ds
  0xbe, 0xe2, 0x02, 0xe8, 0x4d, 0x00,  // mov si, second; call puts
  0x1e, 0x07,                          // push ds; pop es
  // The first disk in memory lies where real mode cannot read: the BIOS copies 64 bytes of it.
  0x66, 0xa1, 0x18, 0x02,              // mov eax, [0x218]
  0xbf, 0x02, 0x03, 0xe8, 0x32, 0x00,  // mov di, from; call base
  0x66, 0x31, 0xc0, 0x8c, 0xd8,        // xor eax, eax; mov ax, ds
  0x66, 0xc1, 0xe0, 0x04,              // shl eax, 4
  0x66, 0x05, 0x20, 0x03, 0x00, 0x00,  // add eax, copy
  0xbf, 0x0a, 0x03, 0xe8, 0x1d, 0x00,  // mov di, to; call base
  0xbe, 0xf0, 0x02, 0xb9, 0x20, 0x00,  // mov si, table; mov cx, 32     in words
  0xb4, 0x87, 0xcd, 0x15,              // mov ah, 0x87; int 0x15
  0xbe, 0x20, 0x03, 0xe8, 0x1c, 0x00,  // mov si, copy; call puts
  0xbe, 0xe9, 0x02, 0xe8, 0x16, 0x00,  // mov si, third; call puts
  0xb0, 0xfe, 0xe6, 0x64,              // mov al, 0xfe; out 0x64, al     the keyboard controller's reset line
  0xf4, 0xeb, 0xfd,                    // halt: hlt; jmp halt
  0x66, 0x89, 0x05, 0xc6, 0x45, 0x03, 0x93, // base: mov [di], eax; mov byte [di + 3], 0x93     a writable segment
  0x66, 0xc1, 0xe8, 0x18, 0x88, 0x45, 0x05, 0xc3, // shr eax, 24; mov [di + 5], al; ret
  0xac, 0x84, 0xc0, 0x74, 0x11,        // puts: lodsb; test al, al; jz done
  0x88, 0xc4, 0xba, 0xfd, 0x03,        // mov ah, al; mov dx, 0x3fd
  0xec, 0xa8, 0x20, 0x74, 0xfb,        // full: in al, dx; test al, 0x20; jz full
  0xb2, 0xf8, 0x88, 0xe0, 0xee,        // mov dl, 0xf8; mov al, ah; out dx, al
  0xeb, 0xea, 0xc3,                    // jmp puts; done: ret
  0xfb, 0x83, 0xf8, 1, 0xf9, 0, 0xfb, 3, // uart: divisor 1 of 115200, 8 bits, no parity, one stop bit
  ...text('kernel started with '),     // first
  ...text('\r\nand '),                 // second
  ...text('\r\n'),                     // third
  0, 0, 0, 0,
  // table: six segments, of which the BIOS reads two; `base` fills in where they are.
  ...Array<number>(16).fill(0),
  0xff, 0xff, 0, 0, 0, 0, 0, 0,        // from
  0xff, 0xff, 0, 0, 0, 0, 0, 0,        // to
  ...Array<number>(16).fill(0),
]);
