#ifndef TANDEM_QEMU_STREAM_FORMAT_H
#define TANDEM_QEMU_STREAM_FORMAT_H

/* Marks and flags of the migration stream, for who reads and who writes one. */
#define TANDEM_QEMU_FOOTER_MARK 0x7e

enum tandem_qemu_mark {
	TANDEM_QEMU_MARK_END = 0x00,
	TANDEM_QEMU_MARK_START = 0x01,
	TANDEM_QEMU_MARK_PART = 0x02,
	TANDEM_QEMU_MARK_LAST = 0x03,
	TANDEM_QEMU_MARK_FULL = 0x04,
	TANDEM_QEMU_MARK_SUBSECTION = 0x05,
	TANDEM_QEMU_MARK_DESCRIPTION = 0x06,
	TANDEM_QEMU_MARK_CONFIGURATION = 0x07,
	TANDEM_QEMU_MARK_COMMAND = 0x08,
};

/* The lower bits of the word that begins each record of RAM; the upper ones are an address. */
enum tandem_qemu_ram_flag {
	TANDEM_QEMU_RAM_FILL = 0x02,
	TANDEM_QEMU_RAM_ANNOUNCE = 0x04,
	TANDEM_QEMU_RAM_PAGE = 0x08,
	TANDEM_QEMU_RAM_END_OF_SECTION = 0x10,
	TANDEM_QEMU_RAM_SAME_BLOCK = 0x20,
};

#endif
