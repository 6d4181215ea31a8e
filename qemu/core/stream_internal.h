#ifndef TANDEM_QEMU_STREAM_INTERNAL_H
#define TANDEM_QEMU_STREAM_INTERNAL_H

#include <tandem/bytes.h>

#include <tandem/qemu_stream.h>

/* stream.c: what its parts share. Numbers are big-endian. */
uint64_t tandem_qemu_read(struct tandem_reader *reader, size_t size);
/* A length of one byte and as many characters. */
void tandem_qemu_read_name(struct tandem_reader *reader, char *ret_name);
void tandem_qemu_fail(struct tandem_qemu_item *item, enum tandem_qemu_fault fault, uint64_t value);

/* stream_ram.c */
void tandem_qemu_take_ram(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                          struct tandem_qemu_item *item);
void tandem_qemu_take_block(struct tandem_qemu_stream *stream, struct tandem_reader *reader,
                            struct tandem_qemu_item *item);

#endif
