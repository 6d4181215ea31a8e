# A guest in one boot sector: writes a star to the serial line, counts, writes the count to each page from 1 MiB to 5 MiB in turn and then to 0x7000, and a
# character to the serial line every 64 rounds. So pages never differ by more than one, and grow from the end to the begin.
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
  test $63, %ebx
  jnz round
  mov $'.', %al
  outb %al, %dx
  jmp round
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
