/**
 * A guest of 512 bytes for tests of hypervisors, for a PC with BIOS. It
 * - counts its starts in the second sector of its disk and says `polyvisor guest, start 0001` on the first serial port
 *   (115200 baud) and the screen; the number is hexadecimal;
 * - echoes every key to both: characters as they are, other keys as the code that the BIOS gives, such as `<3b>` for F1;
 * - restarts on Escape, after `restarting`; and switches itself off on the power button, after `switching off`.
 */
export function echoGuest(name: 'guest' | 'media' = 'guest'): Buffer {
  const sector = Buffer.alloc(512);
  CODE.copy(sector);
  sector.write(name, sector.indexOf('guest'), 'latin1');
  // One active partition, from the second sector: some firmware starts nothing else.
  Buffer.from([0x80, 0, 2, 0, 0x83, 0xfe, 0xff, 0xff, 1, 0, 0, 0, 0, 8, 0, 0]).copy(sector, 446);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** What the guest says at its start: its name, which tells what it was started from, and the hexadecimal number of the start. */
export const ECHO_GUEST_START = /polyvisor (guest|media), start ([0-9a-f]{4})/;

/** Where the guest's disk has the number of its starts: 16 bits, little-endian. */
export const ECHO_GUEST_COUNTER = 512;

const text = (line: string) => [...Buffer.from(`\r\n${line}\0`, 'latin1')];

// The firmware loads it to 0x7c00. BP holds the port of the power management's status, DI what switches off.
// prettier-ignore
const CODE = Buffer.from([
  0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0,  // xor ax, ax; mov ds, ax; mov es, ax
  0xfa, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb, // cli; mov ss, ax; mov sp, 0x7c00; sti
  0xea, 0x12, 0x7c, 0x00, 0x00,        // jmp 0:next
  0xfc,                                // next: cld
  // The serial port: pairs of a register (port 0x300 + n) and its value.
  0xbe, 0x0e, 0x7d, 0xb9, 0x04, 0x00,  // mov si, uart; mov cx, 4
  0xad,                                // set: lodsw
  0xb6, 0x03, 0x88, 0xc2,              // mov dh, 3; mov dl, al
  0x88, 0xe0, 0xee,                    // mov al, ah; out dx, al
  0xe2, 0xf6,                          // loop set
  // The power management: the first of the known ports behind which something is (nothing reads as 0xffff).
  0xbe, 0x16, 0x7d,                    // mov si, ports
  0xad, 0x89, 0xc2, 0xad, 0x89, 0xc7,  // try: lodsw; mov dx, ax; lodsw; mov di, ax
  0x85, 0xd2, 0x74, 0x7c,              // test dx, dx; jz lost
  0xed, 0x40, 0x74, 0xf2,              // in ax, dx; inc ax; jz try
  0x89, 0xd5,                          // mov bp, dx
  0x42, 0x42, 0xb8, 0x00, 0x01, 0xef,  // inc dx; inc dx; mov ax, 0x100; out dx, ax     enable the power button (ACPI §4.8.3)
  // The counter. Without a disk it stays what the memory happens to hold.
  0xb8, 0x01, 0x02, 0xe8, 0x81, 0x00,  // mov ax, 0x0201; call disk     read
  0x72, 0x0a,                          // jc ready
  0xff, 0x06, 0x00, 0x7e,              // inc word [0x7e00]
  0xb8, 0x01, 0x03, 0xe8, 0x75, 0x00,  // mov ax, 0x0301; call disk     write
  0xbe, 0x26, 0x7d, 0xe8, 0xaf, 0x00,  // ready: mov si, start; call puts
  0xa0, 0x01, 0x7e, 0xe8, 0x7e, 0x00,  // mov al, [0x7e01]; call hex
  0xa0, 0x00, 0x7e, 0xe8, 0x78, 0x00,  // mov al, [0x7e00]; call hex
  0xe8, 0x6c, 0x00,                    // call newline
  0x89, 0xea, 0xed, 0xf6, 0xc4, 0x01, 0x75, 0x49, // idle: mov dx, bp; in ax, dx; test ah, 1; jnz off
  0xb4, 0x11, 0xcd, 0x16, 0x75, 0x03,  // mov ah, 0x11; int 0x16; jnz key     is there a key?
  0xf4, 0xeb, 0xef,                    // hlt; jmp idle     the timer wakes it 18 times a second
  0xb4, 0x10, 0xcd, 0x16,              // key: mov ah, 0x10; int 0x16     AH code, AL character
  0x3c, 0x1b, 0x74, 0x24,              // cmp al, 27; je reset
  0x3c, 0x0d, 0x74, 0x1b,              // cmp al, 13; je enter
  0x84, 0xc0, 0x74, 0x04,              // test al, al; jz code
  0x3c, 0xe0, 0x75, 0x0e,              // cmp al, 0xe0; jne plain
  0x50, 0xb0, 0x3c, 0xe8, 0x5c, 0x00,  // code: push ax; mov al, '<'; call putc
  0x58, 0x88, 0xe0, 0xe8, 0x44, 0x00, 0xb0, 0x3e, // pop ax; mov al, ah; call hex; mov al, '>'
  0xe8, 0x51, 0x00, 0xeb, 0xc8,        // plain: call putc; jmp idle
  0xe8, 0x31, 0x00, 0xeb, 0xc3,        // enter: call newline; jmp idle
  0xbe, 0x40, 0x7d, 0xe8, 0x5d, 0x00,  // reset: mov si, again; call puts
  0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0x14,  // mov al, 0xfe; out 0x64, al; jmp halt     the keyboard controller's reset line
  0xbe, 0x4f, 0x7d, 0xe8, 0x51, 0x00, 0xeb, 0x0c, // lost: mov si, none; call puts; jmp halt
  0xbe, 0x63, 0x7d, 0xe8, 0x49, 0x00,  // off: mov si, bye; call puts
  0x8d, 0x56, 0x04, 0x89, 0xf8, 0xef,  // lea dx, [bp + 4]; mov ax, di; out dx, ax
  0xf4, 0xeb, 0xfd,                    // halt: hlt; jmp halt
  0xb9, 0x02, 0x00, 0xba, 0x80, 0x00,  // disk: mov cx, 2; mov dx, 0x80     the second sector of the first disk
  0xbb, 0x00, 0x7e, 0xcd, 0x13, 0xc3,  // mov bx, 0x7e00; int 0x13; ret
  0xb0, 0x0d, 0xe8, 0x16, 0x00,        // newline: mov al, 13; call putc
  0xb0, 0x0a, 0xeb, 0x12,              // mov al, 10; jmp putc
  0x50, 0xc0, 0xe8, 0x04, 0xe8, 0x01, 0x00, 0x58, // hex: push ax; shr al, 4; call digit; pop ax
  0x24, 0x0f, 0x04, 0x30,              // digit: and al, 15; add al, '0'
  0x3c, 0x3a, 0x72, 0x02, 0x04, 0x27,  // cmp al, '9' + 1; jb putc; add al, 'a' - '9' - 1
  0x60, 0x88, 0xc4,                    // putc: pusha; mov ah, al
  0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xfb, // mov dx, 0x3fd; full: in al, dx; test al, 0x20; jz full
  0xb2, 0xf8, 0x88, 0xe0, 0xee,        // mov dl, 0xf8; mov al, ah; out dx, al
  0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, // mov ah, 14; mov bx, 7; int 0x10
  0x61, 0xc3,                          // popa; ret
  0xac, 0x84, 0xc0, 0x74, 0x05,        // puts: lodsb; test al, al; jz done
  0xe8, 0xdf, 0xff, 0xeb, 0xf6, 0xc3,  // call putc; jmp puts; done: ret
  0xfb, 0x83, 0xf8, 1, 0xf9, 0, 0xfb, 3, // uart: divisor 1 of 115200, 8 bits, no parity, one stop bit
  // ports: the status of the power management, and what to write 4 further to switch off (SLP_TYP and SLP_EN, ACPI §4.8.3.2)
  0x00, 0x06, 0x00, 0x20,              // QEMU with SeaBIOS
  0x00, 0x40, 0x00, 0x34,              // VirtualBox
  0x00, 0xb0, 0x00, 0x20,              // Bochs
  0, 0, 0, 0,
  ...text('polyvisor guest, start '),  // start
  ...text('restarting\r\n'),           // again
  ...text('no power button\r\n'),      // none
  ...text('switching off\r\n'),        // bye
]);
