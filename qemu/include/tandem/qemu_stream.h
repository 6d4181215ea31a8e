#ifndef TANDEM_QEMU_STREAM_H
#define TANDEM_QEMU_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The migration stream of a QEMU whose capability x-colo is set, as a secondary reads it from the
 * main channel: header, configuration, RAM, device state, then epochs of COLO. Pure decoder,
 * big-endian; any bytes are safe to decode, because a guest may have taken over its QEMU. Source:
 * QEMU 7.2 to 11.1, docs/devel/migration/main.rst, migration/savevm.c, ram.c and colo.c. */
#define TANDEM_QEMU_PAGE_BYTES   4096u
#define TANDEM_QEMU_NAME_BYTES   256u
#define TANDEM_QEMU_BLOCKS_MAX   64u
#define TANDEM_QEMU_DEVICE_BYTES (UINT64_C(256) << 20) /* more is no state of devices */
/* No item that is not a piece of device state is longer. */
#define TANDEM_QEMU_ITEM_BYTES (TANDEM_QEMU_PAGE_BYTES + TANDEM_QEMU_NAME_BYTES + 64u)

/* What one call found. */
enum tandem_qemu_item_type {
	TANDEM_QEMU_MORE,    /* nothing: the item that begins here is not whole yet */
	TANDEM_QEMU_FAULT,   /* `fault`, and `value` where one was seen; nothing more can be decoded
	                      */
	TANDEM_QEMU_NOTED,   /* something that only the decoder needs */
	TANDEM_QEMU_MACHINE, /* `name`: type and version of the machine */
	TANDEM_QEMU_CAPABILITY, /* `name`: a capability that is set and must be on the other side */
	TANDEM_QEMU_BLOCK,      /* `block`: a RAM block is announced */
	TANDEM_QEMU_SET_UP,  /* all blocks are known: what came until here starts a restore, too */
	TANDEM_QEMU_COMMAND, /* only for who loads the stream while it is sent, not for a restore */
	TANDEM_QEMU_PING,    /* the same, and `value` has to go back as a pong */
	TANDEM_QEMU_PAGE,    /* `bytes` of a page of `block` at `offset_bytes`, behind SET_UP */
	TANDEM_QEMU_FILL,    /* the same, all of it of the byte `value` */
	/* Device state from here on, which does not tell its length: see
	 * tandem_qemu_device_state_bytes() and tandem_qemu_stream_device_done(). */
	TANDEM_QEMU_DEVICES_FIRST,
	TANDEM_QEMU_REQUEST,     /* COLO: may the primary stop its guest for a checkpoint? */
	TANDEM_QEMU_SEND,        /* COLO: the guest stands still and its RAM follows */
	TANDEM_QEMU_RAM_END,     /* of the epoch */
	TANDEM_QEMU_SIZE,        /* COLO: `value` bytes of device state follow */
	TANDEM_QEMU_DEVICES,     /* `bytes`: a piece of them */
	TANDEM_QEMU_DEVICES_END, /* the same, the last one */
	TANDEM_QEMU_ITEM_TYPE_COUNT,
};

#define TANDEM_QEMU_FAULT_TABLE(X)                                                                 \
	X(NONE, "no fault")                                                                        \
	X(MAGIC, "not a migration stream: wrong magic number")                                     \
	X(VERSION, "a version of the stream that is not known")                                    \
	X(CONFIGURATION, "no configuration: migration.send-configuration must be on")              \
	X(SUBSECTION, "a part of the configuration that is not known")                             \
	X(PAGE_BITS, "pages that do not have 4096 bytes")                                          \
	X(SECTION, "a kind of section that does not belong here")                                  \
	X(STATE, "state in a section of its own that only its device understands")                 \
	X(IDENTITY, "a section that was never begun")                                              \
	X(FOOTER, "a section that does not end where it should")                                   \
	X(COMMAND, "a command that is not known")                                                  \
	X(RAM_FLAGS, "a way to send RAM that is not known")                                        \
	X(BLOCKS, "too many RAM blocks, one twice, or one of a size that cannot be")               \
	X(BLOCK, "a RAM block that was never announced")                                           \
	X(EARLY, "a page before all RAM blocks are known")                                         \
	X(RANGE, "a page outside its RAM block")                                                   \
	X(ORDER, "a message of COLO that does not come now")                                       \
	X(DEVICE_BYTES, "more device state than there can be")

enum tandem_qemu_fault {
#define X(name, text) TANDEM_QEMU_FAULT_##name,
	TANDEM_QEMU_FAULT_TABLE(X)
#undef X
	        TANDEM_QEMU_FAULT_COUNT,
};

struct tandem_qemu_block {
	char name[TANDEM_QEMU_NAME_BYTES];
	uint64_t size_bytes;
};

struct tandem_qemu_item {
	enum tandem_qemu_item_type type;
	enum tandem_qemu_fault fault;
	size_t used_bytes; /* of what was given; 0 on MORE and FAULT */
	uint64_t value;
	unsigned block; /* index into `blocks` of the decoder */
	uint64_t offset_bytes;
	const uint8_t *bytes; /* in what was given */
	size_t byte_count;
	char name[TANDEM_QEMU_NAME_BYTES];
};

enum tandem_qemu_place {
	TANDEM_QEMU_AT_HEADER,
	TANDEM_QEMU_AT_CONFIGURATION,
	TANDEM_QEMU_AT_SUBSECTION, /* or the first section */
	TANDEM_QEMU_AT_CAPABILITIES,
	TANDEM_QEMU_AT_SECTION,
	TANDEM_QEMU_AT_RAM,
	TANDEM_QEMU_AT_BLOCKS,
	TANDEM_QEMU_AT_FOOTER,
	TANDEM_QEMU_AT_FIRST_DEVICES,
	TANDEM_QEMU_AT_MESSAGE,
	TANDEM_QEMU_AT_DEVICES,
};

/* Where the decoder is; small, because an item that is not whole yet undoes what it changed. */
struct tandem_qemu_position {
	enum tandem_qemu_place place;
	enum tandem_qemu_item_type message_last; /* of COLO in the epoch under way, or MORE */
	bool ignores_shared;                     /* capability x-ignore-shared */
	bool is_set_up;
	bool is_colo;     /* the first device state is over */
	bool has_section; /* RAM has begun */
	bool has_block;   /* `block` is known */
	uint32_t section_id;
	uint32_t capabilities_left;
	uint64_t announced_left_bytes; /* of RAM whose blocks are still to be named */
	uint64_t devices_left_bytes;
	unsigned block_count;
	unsigned block; /* which a page without a name belongs to */
};

struct tandem_qemu_stream {
	struct tandem_qemu_position at;
	struct tandem_qemu_block blocks[TANDEM_QEMU_BLOCKS_MAX];
};

void tandem_qemu_stream_init(struct tandem_qemu_stream *stream);

/* Decodes the item that begins at `bytes`, of which `length` are here. The caller goes on behind
 * `used_bytes`; on MORE it calls again with the same bytes and more behind them. */
void tandem_qemu_stream_take(struct tandem_qemu_stream *stream, const uint8_t *bytes, size_t length,
                             struct tandem_qemu_item *ret_item);

/* How many of `length` bytes since DEVICES_FIRST are device state, its end mark included; 0: its
 * end is not here yet. What ends it is a description of it, `ret_description_bytes` long. QEMU
 * sends nothing behind that until it is answered, so both end where `length` does. */
size_t tandem_qemu_device_state_bytes(const uint8_t *bytes, size_t length,
                                      size_t *ret_description_bytes);
/* The caller has taken the first device state with its description: COLO's messages follow. */
void tandem_qemu_stream_device_done(struct tandem_qemu_stream *stream);

const char *tandem_qemu_fault_text(enum tandem_qemu_fault fault);
const char *tandem_qemu_item_text(enum tandem_qemu_item_type type);

#endif
