#include <criterion/criterion.h>

#include <tandem/random.h>

/* The first outputs of splitmix64 for seed 1234567, as published with the algorithm. */
Test(random, known_sequence)
{
	uint64_t state = 1234567;
	cr_assert_eq(tandem_random_next(&state), UINT64_C(6457827717110365317));
	cr_assert_eq(tandem_random_next(&state), UINT64_C(3203168211198807973));
	cr_assert_eq(tandem_random_next(&state), UINT64_C(9817491932198370423));
}

Test(random, unique_is_never_zero_and_differs)
{
	uint64_t before = 0;
	for (int i = 0; i < 100; i++) {
		uint64_t value = tandem_random_unique();
		cr_assert_neq(value, 0);
		cr_assert_neq(value, before);
		before = value;
	}
}
