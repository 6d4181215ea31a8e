#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include <tandem/clock.h>

#include "json_text.h"
#include "tandemctl.h"

/* Orders whose outcome takes a while: it is waited for, with a line for each step on the way. */

#define LOOK_INTERVAL_MS   100
#define SWITCHOVER_SECONDS 30
#define RESYNC_SECONDS     600
#define PROTECT_SECONDS    600
#define UNPROTECT_SECONDS  30
#define ATTACH_NS          (5 * TANDEM_NS_PER_S)

enum verdict {
	GOING_ON,
	DONE,
	FAILED,
};

struct outcome {
	const struct tandemctl *tandemctl;
	const char *command;
	enum verdict (*judge)(const struct outcome *outcome, struct json_object *pair);
	const char *failure; /* what FAILED means */
	uint64_t seconds;    /* at most, where --timeout says nothing */
	uint64_t start_ns;
	uint64_t generation; /* of the register, before the order */
	char step[400];      /* told last */
};

static const char *text_of(struct json_object *object, const char *key)
{
	return tandem_json_text(object, key, "");
}

static uint64_t generation_of(struct json_object *pair)
{
	return json_object_get_uint64(json_object_object_get(pair, "generation"));
}

static bool is_primary(const char *state)
{
	return strcmp(state, "PRIMARY_PAIR") == 0 || strcmp(state, "PRIMARY_SOLO") == 0;
}

static bool is_own(struct json_object *pair)
{
	return strcmp(text_of(pair, "owner"), text_of(pair, "node")) == 0;
}

/* The register alone names one who has won and may still fail to start the program. */
static enum verdict judge_switchover(const struct outcome *outcome, struct json_object *pair)
{
	struct json_object *peer = json_object_object_get(pair, "peer");
	if (is_own(pair))
		return is_primary(text_of(pair, "state")) ? FAILED : GOING_ON;
	return generation_of(pair) > outcome->generation && is_primary(text_of(peer, "state"))
	               ? DONE
	               : GOING_ON;
}

static enum verdict judge_resync(const struct outcome *outcome, struct json_object *pair)
{
	const char *state = text_of(pair, "state");
	(void)outcome;
	if (strcmp(state, "SECONDARY") == 0)
		return DONE;
	return is_primary(state) ? FAILED : GOING_ON;
}

static bool has_program(struct json_object *pair)
{
	return strcmp(text_of(json_object_object_get(pair, "data_plane"), "kind"), "program") == 0;
}

/* What was started attaches within moments or has failed, for a reason that its log tells. */
static enum verdict judge_protect(const struct outcome *outcome, struct json_object *pair)
{
	bool is_late = tandem_clock_now_ns() > outcome->start_ns + ATTACH_NS;
	if (is_own(pair) && strcmp(text_of(pair, "state"), "PRIMARY_PAIR") == 0)
		return DONE;
	return is_late && !has_program(pair) ? FAILED : GOING_ON;
}

static enum verdict judge_unprotect(const struct outcome *outcome, struct json_object *pair)
{
	(void)outcome;
	if (strcmp(text_of(pair, "mode"), "LEFT") == 0 && !has_program(pair))
		return DONE;
	return is_own(pair) ? GOING_ON : FAILED;
}

/* ---- what is told ---- */

static void tell_end(const struct outcome *outcome, bool is_ok, const char *text,
                     uint64_t generation)
{
	uint64_t took_ms = (tandem_clock_now_ns() - outcome->start_ns) / TANDEM_NS_PER_MS;
	if (!outcome->tandemctl->is_json) {
		if (is_ok)
			printf("%s, after %" PRIu64 " ms\n", text, took_ms);
		else
			fprintf(stderr, "tandemctl: %s\n", text);
		return;
	}
	struct json_object *object = json_object_new_object();
	json_object_object_add(object, "ok", json_object_new_boolean(is_ok));
	json_object_object_add(object, is_ok ? "text" : "error", json_object_new_string(text));
	json_object_object_add(object, "generation", json_object_new_uint64(generation));
	json_object_object_add(object, "took_ms", json_object_new_uint64(took_ms));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static void tell_done(const struct outcome *outcome, struct json_object *pair)
{
	char text[400];
	if (outcome->judge == judge_switchover)
		snprintf(text, sizeof(text), "%s leads now (generation %" PRIu64 ")",
		         text_of(pair, "owner"), generation_of(pair));
	else
		snprintf(text, sizeof(text), "%s", text_of(pair, "headline"));
	tell_end(outcome, true, text, generation_of(pair));
}

static void tell_step(struct outcome *outcome, struct json_object *pair)
{
	char step[400];
	const char *lost = text_of(json_object_object_get(pair, "data_plane"), "session_detail");
	snprintf(step, sizeof(step), "%s: waiting for %s%s%s", text_of(pair, "state"),
	         text_of(pair, "waiting_for"), lost[0] ? "; no session: " : "", lost);
	if (outcome->tandemctl->is_json || strcmp(step, outcome->step) == 0)
		return;
	memcpy(outcome->step, step, sizeof(step));
	printf("%s\n", step);
	fflush(stdout);
}

/* ---- the questions ---- */

/* *ret_answer is the caller's; the pair in it is borrowed. */
static int look(const struct outcome *outcome, struct json_object **ret_answer,
                struct json_object **ret_pair, struct tandem_error *reterr_error)
{
	struct json_object *request = tandemctl_request_new(outcome->tandemctl, "status");
	int rc = tandemctl_ask(outcome->tandemctl, request, ret_answer, reterr_error);
	json_object_put(request);
	if (rc < 0)
		return rc;
	struct json_object *pairs = json_object_object_get(*ret_answer, "pairs");
	*ret_pair = json_object_is_type(pairs, json_type_array)
	                    ? json_object_array_get_idx(pairs, 0)
	                    : NULL;
	if (json_object_is_type(*ret_pair, json_type_object))
		return 0;
	json_object_put(*ret_answer);
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "status",
	                        "the controller does not say how the pair is");
}

static int judge_now(struct outcome *outcome, enum verdict *ret_verdict,
                     struct tandem_error *reterr_error)
{
	struct json_object *answer = NULL, *pair = NULL;
	int rc = look(outcome, &answer, &pair, reterr_error);
	if (rc < 0)
		return rc;
	*ret_verdict = outcome->judge(outcome, pair);
	if (*ret_verdict == GOING_ON)
		tell_step(outcome, pair);
	else if (*ret_verdict == DONE)
		tell_done(outcome, pair);
	else
		tell_end(outcome, false, outcome->failure, generation_of(pair));
	json_object_put(answer);
	return 0;
}

static int await(struct outcome *outcome)
{
	enum verdict verdict = GOING_ON;
	struct tandem_error error;
	char text[600];
	do {
		int rc = judge_now(outcome, &verdict, &error);
		if (rc < 0)
			return tandemctl_fail(outcome->tandemctl, &error);
		if (verdict != GOING_ON)
			return verdict == DONE ? TANDEMCTL_OK : TANDEMCTL_FAILED;
		poll(NULL, 0, LOOK_INTERVAL_MS);
	} while (tandem_clock_now_ns() < outcome->start_ns + outcome->seconds * TANDEM_NS_PER_S);
	snprintf(text, sizeof(text),
	         "not done within %" PRIu64 " s, and still under way (%s); 'tandemctl status' and "
	         "'tandemctl events' say more",
	         outcome->seconds, outcome->step);
	tell_end(outcome, false, text, 0);
	return TANDEMCTL_FAILED;
}

static int order(struct outcome *outcome, struct json_object **ret_answer,
                 struct tandem_error *reterr_error)
{
	struct json_object *answer = NULL, *pair = NULL;
	int rc = look(outcome, &answer, &pair, reterr_error);
	if (rc < 0)
		return rc;
	outcome->generation = generation_of(pair);
	json_object_put(answer);
	struct json_object *request = tandemctl_request_new(outcome->tandemctl, outcome->command);
	rc = tandemctl_ask(outcome->tandemctl, request, ret_answer, reterr_error);
	json_object_put(request);
	return rc;
}

static int carry_out(struct outcome *outcome)
{
	const struct tandemctl *tandemctl = outcome->tandemctl;
	struct json_object *answer = NULL;
	struct tandem_error error;
	if (tandemctl->has_timeout)
		outcome->seconds = tandemctl->timeout_seconds;
	outcome->start_ns = tandem_clock_now_ns();
	if (order(outcome, &answer, &error) < 0)
		return tandemctl_fail(tandemctl, &error);
	bool is_last = outcome->seconds == 0;
	if (is_last && tandemctl->is_json)
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	else if (!tandemctl->is_json)
		puts(text_of(answer, "text"));
	json_object_put(answer);
	return is_last ? TANDEMCTL_OK : await(outcome);
}

int tandemctl_switchover(struct tandemctl *tandemctl)
{
	struct outcome outcome = {.tandemctl = tandemctl,
	                          .command = "switchover",
	                          .judge = judge_switchover,
	                          .failure = "the other node did not take over, this one goes on; "
	                                     "'tandemctl events' on both nodes say why",
	                          .seconds = SWITCHOVER_SECONDS};
	return carry_out(&outcome);
}

int tandemctl_resync(struct tandemctl *tandemctl)
{
	struct outcome outcome = {.tandemctl = tandemctl,
	                          .command = "resync",
	                          .judge = judge_resync,
	                          .failure = "this node leads and takes no copy",
	                          .seconds = RESYNC_SECONDS};
	return carry_out(&outcome);
}

int tandemctl_protect(struct tandemctl *tandemctl)
{
	struct outcome outcome = {.tandemctl = tandemctl,
	                          .command = "protect",
	                          .judge = judge_protect,
	                          .failure =
	                                  "it has ended without protecting anything; the virtual "
	                                  "machine goes on as before, and the log of tandemd says "
	                                  "why",
	                          .seconds = PROTECT_SECONDS};
	return carry_out(&outcome);
}

int tandemctl_unprotect(struct tandemctl *tandemctl)
{
	struct outcome outcome = {.tandemctl = tandemctl,
	                          .command = "unprotect",
	                          .judge = judge_unprotect,
	                          .failure = "the other node has taken over",
	                          .seconds = UNPROTECT_SECONDS};
	return carry_out(&outcome);
}
