#include <criterion/criterion.h>

#include <tandem/bytes.h>
#include <string.h>

Test(bytes, numbers_are_little_endian)
{
	uint8_t bytes[15];
	const uint8_t wanted[15] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
	                            0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
	struct tandem_writer writer = tandem_writer_over(bytes, sizeof(bytes));
	tandem_write_u8(&writer, 0x01);
	tandem_write_u16(&writer, 0x0203);
	tandem_write_u32(&writer, 0x04050607);
	tandem_write_u64(&writer, UINT64_C(0x08090a0b0c0d0e0f));
	cr_assert(!writer.failed);
	cr_assert_eq(writer.length, sizeof(bytes));
	cr_assert_arr_eq(bytes, wanted, sizeof(bytes));
}

Test(bytes, what_was_written_is_read)
{
	uint8_t bytes[64];
	char text[8];
	uint8_t raw[3];
	struct tandem_writer writer = tandem_writer_over(bytes, sizeof(bytes));
	tandem_write_u64(&writer, UINT64_MAX - 5);
	tandem_write_text(&writer, "tandem", 8);
	tandem_write_bytes(&writer, "xyz", 3);
	tandem_write_u16(&writer, 65534);
	struct tandem_reader reader = tandem_reader_over(bytes, writer.length);
	cr_assert_eq(tandem_read_u64(&reader), UINT64_MAX - 5);
	tandem_read_text(&reader, text, sizeof(text));
	cr_assert_str_eq(text, "tandem");
	tandem_read_bytes(&reader, raw, sizeof(raw));
	cr_assert_arr_eq(raw, "xyz", 3);
	cr_assert(!tandem_reader_done(&reader));
	cr_assert_eq(tandem_reader_left(&reader), 2);
	cr_assert_eq(tandem_read_u16(&reader), 65534);
	cr_assert(tandem_reader_done(&reader));
}

Test(bytes, a_writer_without_room_fails_for_good_and_writes_nothing)
{
	uint8_t bytes[4] = {9, 9, 9, 9};
	struct tandem_writer writer = tandem_writer_over(bytes, 3);
	tandem_write_u32(&writer, 0);
	cr_assert(writer.failed);
	tandem_write_u8(&writer, 0);
	cr_assert_eq(writer.length, 0);
	cr_assert_arr_eq(bytes, ((uint8_t[]){9, 9, 9, 9}), 4);
}

Test(bytes, a_reader_that_ran_out_gives_zeros_for_good)
{
	const uint8_t bytes[3] = {1, 2, 3};
	uint8_t raw[2] = {7, 7};
	struct tandem_reader reader = tandem_reader_over(bytes, sizeof(bytes));
	cr_assert_eq(tandem_read_u32(&reader), 0);
	cr_assert(reader.failed);
	cr_assert_eq(tandem_read_u8(&reader), 0);
	tandem_read_bytes(&reader, raw, sizeof(raw));
	cr_assert_arr_eq(raw, ((uint8_t[]){0, 0}), 2);
	cr_assert_eq(tandem_reader_left(&reader), 0);
	cr_assert(!tandem_reader_done(&reader));
}

Test(bytes, a_text_needs_room_for_its_end)
{
	uint8_t bytes[16] = {0};
	struct tandem_writer writer = tandem_writer_over(bytes, sizeof(bytes));
	tandem_write_text(&writer, "1234567", 8);
	cr_assert(!writer.failed);
	tandem_write_text(&writer, "12345678", 8);
	cr_assert(writer.failed);
}

Test(bytes, a_text_without_end_is_refused)
{
	char text[4] = "abc";
	struct tandem_reader reader = tandem_reader_over("abcd", 4);
	tandem_read_text(&reader, text, sizeof(text));
	cr_assert(reader.failed);
	cr_assert_str_eq(text, "");
}

Test(bytes, huge_lengths_do_not_wrap)
{
	uint8_t bytes[4] = {0};
	struct tandem_writer writer = tandem_writer_over(bytes, sizeof(bytes));
	struct tandem_reader reader = tandem_reader_over(bytes, sizeof(bytes));
	tandem_write_u8(&writer, 1);
	tandem_write_bytes(&writer, bytes, SIZE_MAX);
	cr_assert(writer.failed);
	tandem_read_u8(&reader);
	reader.offset = 4;
	cr_assert_eq(tandem_read_u8(&reader), 0);
	cr_assert(reader.failed);
}
