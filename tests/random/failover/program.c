#include "cluster.h"

#include <tandem/clock.h>

/* The protected program: its memory is a chain of epochs, its output says which one it has seen. */

#define MS       TANDEM_NS_PER_MS
#define WRITE_NS (20 * MS) /* the longest pause of its clients */
#define LATE_NS  (300 * MS)

/* ---- to the controller ---- */

static void tell_copied(struct cluster *cluster, struct program *program)
{
	struct word word = {.peer_incarnation = program->process.session_peer,
	                    .generation = program->led_generation};
	planes_say(cluster, &program->process, TANDEM_EVENT_COPIED, &word);
}

void program_repeat(struct cluster *cluster, struct program *program)
{
	if (program->is_ready)
		planes_say(cluster, &program->process, TANDEM_EVENT_READY,
		           &(struct word){.epoch = program->memory});
	if (program->process.session == 0)
		return;
	planes_tell_session(cluster, &program->process, TANDEM_EVENT_SESSION_UP);
	if (program->is_gated)
		tell_copied(cluster, program);
}

static void say_copied(struct cluster *cluster, struct program *program)
{
	program->is_gated = true;
	program->is_holding = false;
	program->copy_ns = CLUSTER_NEVER_NS;
	tell_copied(cluster, program);
}

/* ---- the copy ---- */

static void begin_copy(struct cluster *cluster, struct program *program)
{
	program->copy_ns = cluster->now_ns + 2 * MS + cluster_draw(cluster, 60 * MS);
	if (cluster->bug == BUG_R6_COPY_TOLD_WHEN_BEGUN && !program->is_pair)
		say_copied(cluster, program);
}

/* [C20]: from here nothing leaves. */
static void capture_copy(struct cluster *cluster, struct program *program)
{
	program->copy_ns = CLUSTER_NEVER_NS;
	program->is_holding = true;
	sessions_write(cluster, &program->process, ITEM_COPY)->memory = program->memory;
}

void program_lose_session(struct program *program)
{
	program->is_holding = program->late_ns != 0;
	program->is_quiet = false;
	program->copy_ns = CLUSTER_NEVER_NS;
}

/* ---- output ---- */

static uint32_t next_epoch(struct cluster *cluster, uint32_t parent)
{
	if (cluster->epoch_count + 1 >= CLUSTER_EPOCHS_MAX)
		return parent;
	uint32_t epoch = ++cluster->epoch_count;
	cluster->parents[epoch] = parent;
	cluster->depths[epoch] = cluster->depths[parent] + 1;
	return epoch;
}

static bool has_copy(const struct program *program)
{
	return program->process.session != 0 &&
	       program->process.session_peer == program->copy_incarnation;
}

/* R9: nothing is unacknowledged, and nothing more leaves. */
static void tell_quiet(struct cluster *cluster, struct program *program)
{
	bool is_busy = program->pending != 0 && cluster->bug != BUG_R9_QUIET_IN_WORDS_ONLY;
	if (!program->is_quiescing || program->is_quiet || is_busy || !program->is_pair ||
	    program->is_halted || !has_copy(program))
		return;
	program->is_quiet = true;
	planes_say(cluster, &program->process, TANDEM_EVENT_QUIESCED,
	           &(struct word){.generation = program->led_generation});
}

/* R1: what was sealed is released by an acknowledgement of the generation that is led. */
static void release(struct cluster *cluster, struct program *program, uint32_t memory)
{
	if (program->pending == 0 || program->pending != memory || !program->is_pair ||
	    program->is_halted)
		return;
	program->pending = 0;
	judge_publish(cluster, program, memory);
	tell_quiet(cluster, program);
}

/* An impatient program seals again what was not acknowledged. */
static bool may_seal(const struct cluster *cluster, const struct program *program)
{
	return program->is_pair && has_copy(program) &&
	       (!program->is_quiescing || program->pending != 0 ||
	        cluster->bug == BUG_R9_QUIET_IN_WORDS_ONLY);
}

static void seal(struct cluster *cluster, struct program *program)
{
	if (program->pending == 0)
		program->pending = program->memory;
	sessions_write(cluster, &program->process, ITEM_EPOCH)->memory = program->pending;
	if (cluster->bug == BUG_R1_OUTPUT_BEFORE_ACKNOWLEDGEMENT)
		judge_publish(cluster, program, program->pending);
}

static void write_once(struct cluster *cluster, struct program *program)
{
	program->write_ns = cluster->now_ns + MS + cluster_draw(cluster, WRITE_NS);
	program->memory = next_epoch(cluster, program->memory);
	if (program->late_ns != 0 && cluster->now_ns >= program->late_ns &&
	    program->process.session != 0) {
		program->late_ns = 0;
		say_copied(cluster, program);
	}
	bool is_open =
	        program_leads_openly(program) ||
	        (cluster->bug == BUG_R4_SOLO_WITHOUT_REGISTER && program->process.session == 0) ||
	        (cluster->bug == BUG_R7_OUTPUT_WHILE_PAIRING && !program->is_pair) ||
	        (cluster->bug == BUG_R9_QUIET_IN_WORDS_ONLY && program->is_quiet);
	if (is_open)
		judge_publish(cluster, program, program->memory);
	else if (may_seal(cluster, program))
		seal(cluster, program);
}

/* ---- time ---- */

static bool serves(const struct program *program)
{
	return program->is_led && !program->is_halted;
}

uint64_t program_due_ns(struct cluster *cluster, const struct program *program)
{
	uint64_t due_ns = program->exit_ns != 0 ? program->exit_ns : CLUSTER_NEVER_NS;
	(void)cluster;
	if (!program->is_ready && program->ready_ns < due_ns)
		due_ns = program->ready_ns;
	if (!serves(program))
		return due_ns;
	if (program->write_ns < due_ns)
		due_ns = program->write_ns;
	if (program->process.session == 0 && program->connect_ns < due_ns)
		due_ns = program->connect_ns;
	if (program->process.session != 0 && program->copy_ns < due_ns)
		due_ns = program->copy_ns;
	return due_ns;
}

static void serve(struct cluster *cluster, struct program *program)
{
	if (program->process.session == 0 && cluster->now_ns >= program->connect_ns)
		sessions_propose(cluster, program);
	if (program->process.session != 0 && cluster->now_ns >= program->copy_ns)
		capture_copy(cluster, program);
	if (cluster->now_ns >= program->write_ns)
		write_once(cluster, program);
}

void program_step(struct cluster *cluster, struct program *program)
{
	if (program->exit_ns != 0 && cluster->now_ns >= program->exit_ns) {
		planes_end(cluster, &program->process, true);
		return;
	}
	if (!program->is_ready && cluster->now_ns >= program->ready_ns) {
		program->is_ready = true;
		planes_say(cluster, &program->process, TANDEM_EVENT_READY,
		           &(struct word){.epoch = program->memory});
	}
	if (serves(program))
		serve(cluster, program);
}

/* ---- what it is told ---- */

static void lead(struct cluster *cluster, struct program *program, const struct word *word)
{
	/* The copy of an earlier generation counts no more. */
	bool was_copied = program->is_pair || program->is_gated;
	if (!word->is_pair && (was_copied || program->is_holding)) {
		program->proposed = 0;
		sessions_drop(cluster, &program->process);
	}
	cluster->pair_count += word->is_pair && !program->is_pair;
	cluster->solo_count += !word->is_pair && program->is_pair;
	if (!program->is_led)
		program->write_ns = program->connect_ns = cluster->now_ns;
	program->is_led = true;
	program->is_gated = program->is_holding = false;
	program->late_ns = 0;
	program->is_quiescing = program->is_quiet = false;
	program->holds_output = word->holds_output;
	program->led_generation = word->generation;
	program->copy_incarnation = word->peer_incarnation;
	program->is_pair = word->is_pair;
	/* What was not acknowledged goes out with the next publication of a later epoch. */
	if (!word->is_pair)
		program->pending = 0;
	if (!word->is_pair && program->process.session != 0)
		begin_copy(cluster, program);
}

void program_obey(struct cluster *cluster, struct program *program, const struct word *word)
{
	if (word->type == TANDEM_CONTROL_HALT && !program->is_halted) {
		program->is_halted = true;
		program->exit_ns = cluster->now_ns + 50 * MS + cluster_draw(cluster, 300 * MS);
	}
	if (word->type == TANDEM_CONTROL_YANK)
		sessions_drop(cluster, &program->process);
	if (word->type == TANDEM_CONTROL_LEAD && !program->is_halted)
		lead(cluster, program, word);
	if (word->type == TANDEM_CONTROL_LEAVE)
		program->leaves = true;
	if (word->type == TANDEM_CONTROL_RELEASE && !program->is_halted) {
		judge_release(cluster, program);
		program->leaves = program->is_led = false;
		program->exit_ns = cluster->now_ns + cluster_draw(cluster, 100 * MS);
	}
	if (word->type == TANDEM_CONTROL_QUIESCE) {
		program->is_quiescing = true;
		tell_quiet(cluster, program);
	}
}

static void be_welcome(struct cluster *cluster, struct program *program,
                       const struct letter *letter)
{
	program->copy_ns = CLUSTER_NEVER_NS;
	/* [C7]: in PAIR nothing is copied. */
	if (!program->is_pair && !program->is_gated && program->late_ns == 0)
		begin_copy(cluster, program);
	if (program->is_pair && has_copy(program) && letter->has_copy)
		release(cluster, program, letter->memory);
	tell_quiet(cluster, program);
}

void program_take(struct cluster *cluster, struct program *program, const struct item *item)
{
	if (item->type == ITEM_WELCOME)
		be_welcome(cluster, program, &item->of.letter);
	if (item->type == ITEM_ACK && has_copy(program))
		release(cluster, program, item->of.letter.memory);
	if (item->type != ITEM_COPY_APPLIED || program->is_pair || !program->is_holding)
		return;
	if (cluster->bug == BUG_R8_COPY_OF_ANOTHER_LIFE)
		program->late_ns = cluster->now_ns + LATE_NS;
	else
		say_copied(cluster, program);
}
