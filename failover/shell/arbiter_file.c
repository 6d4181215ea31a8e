#include "shell/arbiter_engine.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "shell/register.h"
#include "shell/seen.h"

/* A directory, asked by a thread of its own, so that storage that hangs never stops the loop. It is
 * shared by both nodes (`file`) or this node's own (the others).
 *
 * The machine has one reading and one CAS outstanding at most; a record to adopt may be dropped,
 * because the next heartbeat says it again. */
#define QUEUE_MAX 8

enum job_type {
	JOB_READ,
	JOB_CAS,
	JOB_ADOPT,
};

struct job {
	enum job_type type;
	uint64_t request;
	struct tandem_record expected;
	struct tandem_record desired;
};

/* Shared with the thread, which may outlive the engine: the last of the two frees it. */
struct shared {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned holder_count;
	bool is_ending;
	int answer_fd;
	size_t job_count;
	struct job jobs[QUEUE_MAX];
	size_t answer_count;
	struct tandem_arbiter_answer answers[QUEUE_MAX];
	char pair[TANDEM_NAME_BYTES];
	char directory[TANDEM_CONTROLLER_PATH_BYTES + TANDEM_NAME_BYTES + 1];
	struct tandem_seen seen; /* the thread's */
};

struct file_engine {
	struct tandem_arbiter_engine engine; /* first */
	struct shared *shared;
	struct event *event;
	tandem_arbiter_answer_fn on_answer;
	void *context;
};

static void let_go(struct shared *shared)
{
	pthread_mutex_lock(&shared->lock);
	unsigned left_count = --shared->holder_count;
	pthread_mutex_unlock(&shared->lock);
	if (left_count > 0)
		return;
	if (shared->answer_fd >= 0)
		close(shared->answer_fd);
	pthread_cond_destroy(&shared->wake);
	pthread_mutex_destroy(&shared->lock);
	tandem_memory_free(shared);
}

static bool next_job(struct shared *shared, struct job *ret_job)
{
	pthread_mutex_lock(&shared->lock);
	while (shared->job_count == 0 && !shared->is_ending)
		pthread_cond_wait(&shared->wake, &shared->lock);
	bool has_job = !shared->is_ending;
	if (has_job) {
		*ret_job = shared->jobs[0];
		shared->job_count--;
		memmove(&shared->jobs[0], &shared->jobs[1],
		        shared->job_count * sizeof(shared->jobs[0]));
	}
	pthread_mutex_unlock(&shared->lock);
	return has_job;
}

static void give_answer(struct shared *shared, const struct tandem_arbiter_answer *answer)
{
	uint64_t one = 1;
	pthread_mutex_lock(&shared->lock);
	if (!shared->is_ending && shared->answer_count < QUEUE_MAX) {
		shared->answers[shared->answer_count++] = *answer;
		/* The counter cannot overflow, so this write does not fail or block. */
		ssize_t written = write(shared->answer_fd, &one, sizeof(one));
		(void)written;
	}
	pthread_mutex_unlock(&shared->lock);
}

/* The directory is only made for a register that was never seen: made anew, a lost one would read
 * as empty. */
static int look(struct shared *shared, struct tandem_arbiter_answer *answer)
{
	int status = 0;
	if (shared->seen.generation == 0)
		status = tandem_register_prepare(shared->directory, &answer->error);
	if (status == 0)
		status = tandem_register_read(shared->directory, shared->pair, &answer->record,
		                              &answer->error);
	if (status == 0)
		status = tandem_seen_check(&shared->seen, answer->record.generation,
		                           shared->directory, &answer->error);
	return status;
}

static void read_register(struct shared *shared, struct tandem_arbiter_answer *answer)
{
	answer->type = look(shared, answer) == 0 ? TANDEM_EVENT_RECORD : TANDEM_EVENT_READ_FAILED;
}

static void swap_register(struct shared *shared, const struct job *job,
                          struct tandem_arbiter_answer *answer)
{
	static const enum tandem_event_type types[] = {
	        [TANDEM_REGISTER_WON] = TANDEM_EVENT_CAS_WON,
	        [TANDEM_REGISTER_LOST] = TANDEM_EVENT_CAS_LOST,
	        [TANDEM_REGISTER_FAILED] = TANDEM_EVENT_CAS_FAILED,
	        [TANDEM_REGISTER_DOUBT] = TANDEM_EVENT_CAS_DOUBT,
	};
	answer->type = TANDEM_EVENT_CAS_FAILED;
	if (look(shared, answer) == 0 &&
	    tandem_seen_prove(&shared->seen, &job->expected, &job->desired, &answer->error) == 0)
		answer->type =
		        types[tandem_register_cas(shared->directory, &job->expected, &job->desired,
		                                  &answer->record, &answer->error)];
}

static void do_job(struct shared *shared, const struct job *job)
{
	struct tandem_arbiter_answer answer = {.request = job->request};
	if (job->type == JOB_ADOPT) {
		/* What failed is tried again at the next heartbeat. */
		int status = tandem_register_adopt(shared->directory, &job->desired, NULL);
		(void)status;
		return;
	}
	if (job->type == JOB_READ)
		read_register(shared, &answer);
	if (job->type == JOB_CAS)
		swap_register(shared, job, &answer);
	give_answer(shared, &answer);
	if (answer.type == TANDEM_EVENT_CAS_WON)
		tandem_register_prune(shared->directory, job->desired.generation);
}

static void *run(void *context)
{
	struct shared *shared = context;
	struct job job;
	while (next_job(shared, &job))
		do_job(shared, &job);
	let_go(shared);
	return NULL;
}

static void on_answers(evutil_socket_t fd, short what, void *context)
{
	struct file_engine *engine = context;
	struct shared *shared = engine->shared;
	struct tandem_arbiter_answer answers[QUEUE_MAX];
	uint64_t counter;
	(void)what;
	ssize_t length = read(fd, &counter, sizeof(counter));
	(void)length;
	pthread_mutex_lock(&shared->lock);
	size_t count = shared->answer_count;
	memcpy(answers, shared->answers, count * sizeof(answers[0]));
	shared->answer_count = 0;
	pthread_mutex_unlock(&shared->lock);
	for (size_t i = 0; i < count; i++)
		engine->on_answer(engine->context, &answers[i]);
}

static void add_job(struct tandem_arbiter_engine *engine, const struct job *job)
{
	struct shared *shared = ((struct file_engine *)engine)->shared;
	pthread_mutex_lock(&shared->lock);
	/* Places are kept for requests that the machine waits for. */
	size_t limit = job->type == JOB_ADOPT ? QUEUE_MAX - 4 : QUEUE_MAX;
	if (shared->job_count < limit) {
		shared->jobs[shared->job_count++] = *job;
		pthread_cond_signal(&shared->wake);
	}
	pthread_mutex_unlock(&shared->lock);
}

static void read_file(struct tandem_arbiter_engine *engine, uint64_t request)
{
	struct job job = {.type = JOB_READ, .request = request};
	add_job(engine, &job);
}

static void cas_file(struct tandem_arbiter_engine *engine, uint64_t request,
                     const struct tandem_record *expected, const struct tandem_record *desired,
                     bool needs_fence)
{
	struct job job = {
	        .type = JOB_CAS, .request = request, .expected = *expected, .desired = *desired};
	(void)needs_fence;
	add_job(engine, &job);
}

static void adopt_file(struct tandem_arbiter_engine *engine, const struct tandem_record *record)
{
	struct job job = {.type = JOB_ADOPT, .desired = *record};
	add_job(engine, &job);
}

static void free_file(struct tandem_arbiter_engine *base)
{
	struct file_engine *engine = (struct file_engine *)base;
	if (engine->event)
		event_free(engine->event);
	if (engine->shared) {
		pthread_mutex_lock(&engine->shared->lock);
		engine->shared->is_ending = true;
		pthread_cond_signal(&engine->shared->wake);
		pthread_mutex_unlock(&engine->shared->lock);
		let_go(engine->shared);
	}
	tandem_memory_free(engine);
}

static const struct tandem_arbiter_engine_type file_type = {
        .read = read_file,
        .cas = cas_file,
        .adopt = adopt_file,
        .free = free_file,
};

static int start_thread(struct shared *shared, struct tandem_error *reterr_error)
{
	pthread_t thread;
	sigset_t all, before;
	sigfillset(&all);
	shared->holder_count++;
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = pthread_create(&thread, NULL, run, shared);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status != 0) {
		shared->holder_count--;
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, status,
		                              "pthread_create", "pair '%s'", shared->pair);
	}
	pthread_detach(thread);
	return 0;
}

static struct shared *new_shared(const struct tandem_controller_pair *pair,
                                 const char *run_directory)
{
	struct shared *shared = tandem_memory_alloc(sizeof(*shared));
	if (!shared)
		return NULL;
	shared->holder_count = 1;
	shared->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&shared->lock, NULL);
	pthread_cond_init(&shared->wake, NULL);
	memcpy(shared->pair, pair->name, sizeof(shared->pair));
	snprintf(shared->directory, sizeof(shared->directory), "%s/%s", pair->arbiter_path,
	         pair->name);
	tandem_seen_open(&shared->seen, run_directory, pair->name);
	return shared;
}

int tandem_arbiter_file_new(const struct tandem_arbiter_setup *setup,
                            struct tandem_arbiter_engine **ret_engine,
                            struct tandem_error *reterr_error)
{
	struct file_engine *engine = tandem_memory_alloc(sizeof(*engine));
	if (!engine)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "arbiter", "pair '%s'",
		                        setup->pair->name);
	engine->engine.type = &file_type;
	engine->on_answer = setup->on_answer;
	engine->context = setup->context;
	engine->shared = new_shared(setup->pair, setup->run_directory);
	int status = 0;
	if (engine->shared && engine->shared->answer_fd >= 0)
		engine->event = event_new(setup->base, engine->shared->answer_fd,
		                          EV_READ | EV_PERSIST, on_answers, engine);
	if (!engine->event || event_add(engine->event, NULL) != 0)
		status = tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "arbiter",
		                          "pair '%s': no event for its answers", setup->pair->name);
	if (status == 0)
		status = start_thread(engine->shared, reterr_error);
	if (status != 0) {
		free_file(&engine->engine);
		return status;
	}
	*ret_engine = &engine->engine;
	return 0;
}
