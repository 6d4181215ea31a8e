# A guest in one boot sector: writes a star to the serial line, counts, writes the count to each page from 1 MiB to 5 MiB in turn and then to 0x7000, and a
# character to the serial line every 64 rounds. So pages never differ by more than one, and grow from the end to the begin.
# With the symbol CARD that is every 8 rounds, and it sends the count in a frame by an NE2000 at 0x300, too.
.macro put port, value
  mov $\port, %dx
  mov $\value, %al
  out %al, %dx
.endm
.code16
.globl _start
_start:
  cli
  xor %ax, %ax
  mov %ax, %ds
  lgdt descriptor - _start + 0x7c00
  mov %cr0, %eax
  or $1, %eax
  mov %eax, %cr0
  ljmpl $8, $(protected - _start + 0x7c00)
.code32
protected:
  mov $16, %ax
  mov %ax, %ds
  mov %ax, %ss
  inb $0x92, %al # address line 20
  or $2, %al
  outb %al, $0x92
  mov $0x3f8, %dx
  mov $'*', %al
  outb %al, %dx
.ifdef CARD
  put 0x300, 0x21 # stopped
  put 0x30e, 0x48 # bytes
  put 0x304, 0x40 # sends from page 0x40
  put 0x300, 0x22 # started
.endif
  xor %ebx, %ebx
round:
  inc %ebx
  mov $0x100000, %edi
page:
  mov %ebx, (%edi)
  add $4096, %edi
  cmp $0x500000, %edi
  jb page
  mov %ebx, 0x7000
.ifdef CARD
  test $7, %ebx
.else
  test $63, %ebx
.endif
  jnz round
  mov $'.', %al
  outb %al, %dx
.ifdef CARD
  put 0x308, 0 # 60 bytes to page 0x40
  put 0x309, 0x40
  put 0x30a, 60
  put 0x30b, 0
  put 0x300, 0x12
  mov $0x310, %dx
  mov $(frame - _start + 0x7c00), %esi
  mov $14, %ecx
  rep outsb
  mov $0x7000, %esi # the count, and what is behind it
  mov $46, %ecx
  rep outsb
  put 0x305, 60
  put 0x306, 0
  put 0x300, 0x26 # sends
  mov $0x3f8, %dx
.endif
  jmp round
.ifdef CARD
frame:
  .byte 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x78, 0x00, 0x03, 0x88, 0xb5
.endif
.align 4
table:
  .quad 0
  .quad 0x00cf9a000000ffff
  .quad 0x00cf92000000ffff
descriptor:
  .word descriptor - table - 1
  .long table - _start + 0x7c00
.org 510
  .byte 0x55, 0xaa
