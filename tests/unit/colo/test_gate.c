#include <criterion/criterion.h>

#include "core/gate.h"

#define NOW 1 /* when output was produced, where that does not matter */

static struct tandem_gate gate;

static void begin(enum tandem_gate_mode mode, uint64_t generation)
{
	tandem_gate_init(&gate);
	tandem_gate_lead(&gate, generation, mode);
}

Test(gate, nothing_leaves_before_leading)
{
	tandem_gate_init(&gate);
	cr_expect_eq(tandem_gate_ticket(&gate, 1, 0, NOW), 1);
	tandem_gate_acknowledge(&gate, 0, 5, 5);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_lead(&gate, 1, TANDEM_GATE_OPEN);
	cr_expect_eq(gate.released_ticket, 1, "SOLO opens it");
}

Test(gate, solo_output_leaves_at_once)
{
	begin(TANDEM_GATE_OPEN, 1);
	tandem_gate_ticket(&gate, 1, 0, NOW);
	tandem_gate_ticket(&gate, 1, 9, NOW);
	cr_expect_eq(gate.released_ticket, 2);
}

Test(gate, an_epoch_releases_what_belongs_to_it_and_before)
{
	begin(TANDEM_GATE_PAIR, 2);
	tandem_gate_ticket(&gate, 5, 0, NOW);
	tandem_gate_ticket(&gate, 6, 0, NOW);
	tandem_gate_ticket(&gate, 7, 0, NOW);
	tandem_gate_acknowledge(&gate, 2, 4, 0);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_acknowledge(&gate, 2, 6, 0);
	cr_expect_eq(gate.released_ticket, 2);
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	cr_expect_eq(gate.released_ticket, 2, "an older word takes nothing back");
	tandem_gate_ticket(&gate, 6, 0, NOW);
	cr_expect_eq(gate.released_ticket, 2, "in order: behind epoch 7");
	tandem_gate_acknowledge(&gate, 2, 7, 0);
	cr_expect_eq(gate.released_ticket, 4);
}

Test(gate, a_read_leaves_by_a_younger_ping_or_a_later_epoch)
{
	begin(TANDEM_GATE_PAIR, 2);
	tandem_gate_ticket(&gate, 5, 10, NOW);
	tandem_gate_acknowledge(&gate, 2, 4, 9);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_acknowledge(&gate, 2, 4, 10);
	cr_expect_eq(gate.released_ticket, 1);
	tandem_gate_ticket(&gate, 5, 12, NOW);
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	cr_expect_eq(gate.released_ticket, 2);
}

Test(gate, a_write_never_leaves_by_a_ping_and_a_read_not_before_it)
{
	begin(TANDEM_GATE_PAIR, 2);
	tandem_gate_ticket(&gate, 5, 0, NOW);
	tandem_gate_ticket(&gate, 6, 3, NOW);
	tandem_gate_acknowledge(&gate, 2, 4, 100);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	cr_expect_eq(gate.released_ticket, 2);
}

Test(gate, other_generations_count_nothing)
{
	begin(TANDEM_GATE_PAIR, 2);
	tandem_gate_ticket(&gate, 5, 0, NOW);
	tandem_gate_acknowledge(&gate, 1, 9, 9);
	tandem_gate_acknowledge(&gate, 3, 9, 9);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_acknowledge(&gate, 2, 4, 0);
	tandem_gate_lead(&gate, 3, TANDEM_GATE_PAIR);
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	cr_expect_eq(gate.released_ticket, 0, "the new generation begins with nothing");
	tandem_gate_acknowledge(&gate, 3, 5, 0);
	cr_expect_eq(gate.released_ticket, 1);
}

Test(gate, the_same_word_again_forgets_nothing)
{
	begin(TANDEM_GATE_PAIR, 2);
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	tandem_gate_lead(&gate, 2, TANDEM_GATE_PAIR);
	tandem_gate_ticket(&gate, 5, 0, NOW);
	cr_expect_eq(gate.released_ticket, 1);
}

Test(gate, hold_holds_until_the_next_word)
{
	begin(TANDEM_GATE_OPEN, 1);
	tandem_gate_hold(&gate);
	tandem_gate_ticket(&gate, 3, 0, NOW);
	tandem_gate_acknowledge(&gate, 1, 9, 9);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_lead(&gate, 2, TANDEM_GATE_HOLD);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_lead(&gate, 3, TANDEM_GATE_PAIR);
	cr_expect_eq(gate.released_ticket, 0);
	tandem_gate_acknowledge(&gate, 3, 3, 0);
	cr_expect_eq(gate.released_ticket, 1);
}

Test(gate, shut_is_for_good)
{
	begin(TANDEM_GATE_PAIR, 2);
	tandem_gate_ticket(&gate, 5, 0, NOW);
	tandem_gate_shut(&gate);
	tandem_gate_acknowledge(&gate, 2, 9, 9);
	tandem_gate_lead(&gate, 9, TANDEM_GATE_OPEN);
	tandem_gate_hold(&gate);
	tandem_gate_acknowledge(&gate, 9, 9, 9);
	cr_expect_eq(gate.released_ticket, 0);
	cr_expect_eq(gate.mode, TANDEM_GATE_SHUT);
}

/* A full table is stricter, never laxer, and stays bounded. */
Test(gate, a_full_table_shares_its_last_place)
{
	begin(TANDEM_GATE_PAIR, 2);
	for (uint64_t epoch = 1; epoch <= 3 * TANDEM_GATE_PENDING_MAX; epoch++)
		cr_expect_eq(tandem_gate_ticket(&gate, epoch, epoch % 2 == 0 ? epoch : 0, NOW),
		             epoch);
	cr_expect_eq(gate.pending_count, TANDEM_GATE_PENDING_MAX);
	tandem_gate_acknowledge(&gate, 2, TANDEM_GATE_PENDING_MAX, 0);
	cr_expect_eq(gate.released_ticket, TANDEM_GATE_PENDING_MAX - 1);
	tandem_gate_acknowledge(&gate, 2, 3 * TANDEM_GATE_PENDING_MAX - 1, 1000);
	cr_expect_eq(gate.released_ticket, TANDEM_GATE_PENDING_MAX - 1,
	             "a write is among those that share the place: no ping releases it");
	tandem_gate_acknowledge(&gate, 2, 3 * TANDEM_GATE_PENDING_MAX, 0);
	cr_expect_eq(gate.released_ticket, 3 * TANDEM_GATE_PENDING_MAX);
}

Test(gate, equal_demands_share_a_place)
{
	begin(TANDEM_GATE_PAIR, 2);
	for (unsigned count = 0; count < 1000; count++)
		tandem_gate_ticket(&gate, 5, 0, NOW);
	cr_expect_eq(gate.pending_count, 1);
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	cr_expect_eq(gate.released_ticket, 1000);
}

Test(gate, the_oldest_output_says_how_far_the_secondary_is_behind)
{
	begin(TANDEM_GATE_PAIR, 2);
	cr_expect_eq(tandem_gate_held_since_ns(&gate), 0);
	tandem_gate_ticket(&gate, 5, 10, 100);
	cr_expect_eq(tandem_gate_held_since_ns(&gate), 100);
	cr_expect_eq(tandem_gate_behind_since_ns(&gate), 0, "what only read changed nothing");
	tandem_gate_ticket(&gate, 5, 0, 200);
	tandem_gate_ticket(&gate, 5, 0, 300);
	tandem_gate_ticket(&gate, 6, 0, 400);
	cr_expect_eq(tandem_gate_behind_since_ns(&gate), 200, "the first that shares the ticket");
	tandem_gate_acknowledge(&gate, 2, 5, 0);
	cr_expect_eq(tandem_gate_held_since_ns(&gate), 400);
	cr_expect_eq(tandem_gate_behind_since_ns(&gate), 400);
	tandem_gate_shut(&gate);
	cr_expect_eq(tandem_gate_held_since_ns(&gate), 0, "it never leaves");
	cr_expect_eq(tandem_gate_behind_since_ns(&gate), 0);
}
