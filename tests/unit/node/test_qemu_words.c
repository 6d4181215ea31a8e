#include <criterion/criterion.h>

#include <stdint.h>

#include <tandem/memory.h>

#include "qemu_words.h"

Test(qemu_words, a_backend_is_found_by_its_id)
{
	static const struct {
		const char *word;
		bool is_it;
	} rows[] = {
	        {"memory-backend-file,id=ram,size=1G,mem-path=/dev/shm/a", true},
	        {"memory-backend-file,mem-path=/dev/shm/a,id=ram", true},
	        {"memory-backend-file,mem-path=/a,,id=ram,id=other", false},
	        {"memory-backend-file,id=ram2", false},
	        {"memory-backend-file,id=ra", false},
	        {"memory-backend-ram,id=ram", false},
	        {"memory-backend-file", false},
	        {"", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(tandem_qemu_word_is_backend(rows[i].word, "ram"), rows[i].is_it, "%s",
		             rows[i].word);
}

static void expect(const char *word, const char *value, const char *expected)
{
	char found[48] = "";
	const bool is_replaced =
	        tandem_qemu_word_replace(word, "mem-path=", value, found, sizeof(found));

	cr_expect_eq(is_replaced, expected != NULL, "%s", word);
	if (expected)
		cr_expect_str_eq(found, expected);
}

Test(qemu_words, a_value_is_replaced_and_nothing_else)
{
	expect("x,id=ram,mem-path=/a,share=on", "/image/b", "x,id=ram,mem-path=/image/b,share=on");
	expect("x,mem-path=/a", "/b", "x,mem-path=/b");
	expect("x,mem-path=/a,,c,share=on", "/b", "x,mem-path=/b,share=on");
	expect("x,id=,,mem-path=/a", "/b", NULL);
	expect("x,id=ram", "/b", NULL);
	expect("x,mem-path=/a", "/b,c", NULL);
	expect("x,mem-path=/a", "/a/path/that/is/longer/than/there/is/room/for", NULL);
}

Test(qemu_words, an_image_is_neither_filled_nor_thrown_away)
{
	static const char word[] =
	        "memory-backend-file,id=a,mem-path=/a,prealloc=on,discard-data=on",
	                  expected[] = "memory-backend-file,id=a,mem-path=/b,prealloc=on,"
	                               "discard-data=on,prealloc=off,discard-data=off";
	char found[sizeof(expected)];

	cr_assert(tandem_qemu_word_give_image(word, "/b", found, sizeof(found)));
	cr_expect_str_eq(found, expected);
	cr_expect_not(tandem_qemu_word_give_image(word, "/b", found, sizeof(found) - 1));
	cr_expect_not(tandem_qemu_word_give_image(word, "/b", found, 8));
	cr_expect_not(tandem_qemu_word_give_image("x,id=a", "/b", found, sizeof(found)));
}

static void expect_on_trial(const char *word, const char *expected)
{
	const char *const words[] = {"qemu", "-object", word, NULL};
	char **found = tandem_qemu_words_on_trial((char *const *)(uintptr_t)words, "/run/b");

	cr_assert(found && found[2]);
	cr_expect_str_eq(found[2], expected);
	cr_expect_null(found[3]);
	tandem_memory_free(found);
}

Test(qemu_words, a_trial_takes_no_ram_and_no_file_of_a_guest)
{
	static const char *const words[] = {"qemu", "-mem-prealloc", "-S", NULL};

	expect_on_trial("memory-backend-file,id=ram,size=1G,mem-path=/dev/shm/a,prealloc=on",
	                "memory-backend-file,id=ram,size=1G,mem-path=/run/b,prealloc=off");
	expect_on_trial("memory-backend-file,id=ram,mem-path=/a,,b,share=on",
	                "memory-backend-file,id=ram,mem-path=/run/b,share=on");
	expect_on_trial("memory-backend-file,id=ram,mem-path=/tmp,share=on",
	                "memory-backend-file,id=ram,mem-path=/tmp,share=on");
	expect_on_trial("memory-backend-ram,id=ram,prealloc=on,share=on",
	                "memory-backend-ram,id=ram,prealloc=off,share=on");
	expect_on_trial("rng-random,id=r,filename=/dev/urandom",
	                "rng-random,id=r,filename=/dev/urandom");
	char **found = tandem_qemu_words_on_trial((char *const *)(uintptr_t)words, "/run/b");
	cr_assert_not_null(found);
	cr_expect_str_eq(found[1], "-S");
	cr_expect_null(found[2]);
	tandem_memory_free(found);
}
