/** What the boot sector does after it has printed its text. */
export type BootSectorEnd = 'halt' | 'power-off' | 'leave' | 'reset';

const ENDS: Readonly<Record<BootSectorEnd, number>> = { halt: 0, 'power-off': 1, leave: 2, reset: 3 };

/** Where the code looks for the byte that says how to end, and for the text. */
const END_AT = 127;
const TEXT_AT = 128;
const TEXT_LIMIT = 510 - TEXT_AT - 1;

/** Port of the `isa-debug-exit` device: a byte written there ends QEMU with the exit code `byte * 2 + 1`. */
export const LEAVE_PORT = 0xf4;
export const LEAVE_EXIT_CODE = 0x10 * 2 + 1;

// prettier-ignore
const CODE = Buffer.from([
  0xfa,                               // cli
  0x31, 0xc0,                         // xor ax, ax
  0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, // mov ds, ax; mov es, ax; mov ss, ax
  0xbc, 0x00, 0x7c,                   // mov sp, 0x7c00
  0xfb, 0xfc,                         // sti; cld
  0x52,                               // push dx            the boot drive
  0xbe, 0x80, 0x7c,                   // mov si, 0x7c80     the text
  0xac,                               // next: lodsb
  0x84, 0xc0, 0x74, 0x0d,             // test al, al; jz done
  0xba, 0xf8, 0x03, 0xee,             // mov dx, 0x3f8; out dx, al     the first serial port
  0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, // mov ah, 0x0e; mov bx, 7; int 0x10     the screen
  0xeb, 0xee,                         // jmp next
  0x5a,                               // done: pop dx
  0xb8, 0x01, 0x03, 0xb9, 0x02, 0x00, // mov ax, 0x0301; mov cx, 2     write one sector, the second of the disk
  0xb6, 0x00, 0xbb, 0x00, 0x7c, 0xcd, 0x13, // mov dh, 0; mov bx, 0x7c00; int 0x13
  0xa0, 0x7f, 0x7c,                   // mov al, [0x7c7f]   how to end
  0x3c, 0x01, 0x75, 0x07,             // cmp al, 1; jne 1f
  0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, // mov dx, 0x604; mov ax, 0x2000; out dx, ax     ACPI S5 of QEMU's machines
  0x3c, 0x02, 0x75, 0x04,             // 1: cmp al, 2; jne 2f
  0xb0, 0x10, 0xe6, LEAVE_PORT,       // mov al, 0x10; out 0xf4, al
  0x3c, 0x03, 0x75, 0x06,             // 2: cmp al, 3; jne 3f
  0xb0, 0x0e, 0xba, 0xf9, 0x0c, 0xee, // mov al, 0x0e; mov dx, 0xcf9; out dx, al     hard reset
  0xfa, 0xf4, 0xeb, 0xfc,             // 3: cli; hlt; jmp 3b
]);

/**
 * A guest of 512 bytes: prints a text to the serial port and the screen, writes to its disk and ends. Tells in a fraction
 * of a second whether a processor runs guests, and lets tests boot something real.
 */
export function bootSector(text: string, end: BootSectorEnd): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length > TEXT_LIMIT)
    throw new RangeError(`the text has ${bytes.length} bytes, the boot sector has room for ${TEXT_LIMIT}`);
  const sector = Buffer.alloc(512);
  CODE.copy(sector);
  sector[END_AT] = ENDS[end];
  bytes.copy(sector, TEXT_AT);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}
