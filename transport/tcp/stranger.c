#include "tcp/stranger.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <tandem/random.h>

#include "tcp/socket.h"

static bool send_answer(int fd, const struct tandem_answer *answer)
{
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	tandem_answer_encode(answer, bytes);
	/* A new connection has room for it; where not, the peer's time to join passes. */
	return send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(bytes);
}

static void say(const struct tandem_tcp_stranger *stranger, enum tandem_verdict verdict)
{
	const struct tandem_answer answer = {.verdict = verdict, .version = TANDEM_HELLO_VERSION};
	send_answer(stranger->fd, &answer);
}

int tandem_tcp_stranger_refuse(struct tandem_tcp_stranger *stranger, enum tandem_verdict verdict,
                               struct tandem_error *reterr_error)
{
	int code = verdict == TANDEM_VERDICT_KEY ? TANDEM_E_REFUSED : TANDEM_E_PROTOCOL;
	say(stranger, verdict);
	return tandem_error_set(reterr_error, code, "join", "refused: %s",
	                        tandem_verdict_text(verdict));
}

int tandem_tcp_stranger_drop(struct tandem_tcp_stranger *stranger, int code,
                             struct tandem_error *reterr_error)
{
	char peer[TANDEM_TCP_ADDRESS_TEXT_BYTES];
	tandem_tcp_address_format(&stranger->peer, peer, sizeof(peer));
	tandem_tcp_socket_close(&stranger->fd);
	*stranger = (struct tandem_tcp_stranger){.fd = -1};
	return tandem_error_wrap(reterr_error, code, "%s: dropped", peer);
}

int tandem_tcp_stranger_expire(const struct tandem_tcp_stranger *stranger,
                               struct tandem_error *reterr_error)
{
	static const char *const debts[] = {
	        [TANDEM_TCP_STRANGER_NONE] = "nothing",
	        [TANDEM_TCP_STRANGER_HELLO] = "no hello",
	        [TANDEM_TCP_STRANGER_PROOF] = "no proof of the key",
	        [TANDEM_TCP_STRANGER_PROVEN] = "no session",
	        [TANDEM_TCP_STRANGER_WAITING] = "no proof of the key on its control connection",
	};
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
	                        "%s within the time to connect", debts[stranger->state]);
}

/* [S2] Answers a control hello with this side's proof. */
static int answer_control(struct tandem_tcp_stranger *stranger, const struct tandem_key *keys,
                          unsigned key_count, struct tandem_error *reterr_error)
{
	struct tandem_transcript *transcript = &stranger->transcript;
	struct tandem_answer answer = {.verdict = TANDEM_VERDICT_JOINED,
	                               .version = TANDEM_HELLO_VERSION};
	struct tandem_key key;
	int index = tandem_keys_find(keys, key_count, stranger->hello.key_id, &key);
	if (index < 0)
		return tandem_tcp_stranger_refuse(stranger, TANDEM_VERDICT_KEY, reterr_error);
	stranger->key_index = (unsigned)index;
	transcript->version = TANDEM_HELLO_VERSION;
	transcript->channel_count = stranger->hello.channel_count;
	transcript->session_id = tandem_random_unique();
	memcpy(transcript->connecting_nonce, stranger->hello.nonce, TANDEM_NONCE_BYTES);
	tandem_random_fill(transcript->listening_nonce, TANDEM_NONCE_BYTES);
	tandem_secrets_derive(&key, transcript, &stranger->secrets);
	answer.session_id = transcript->session_id;
	memcpy(answer.nonce, transcript->listening_nonce, sizeof(answer.nonce));
	memcpy(answer.proof, stranger->secrets.listening_proof, sizeof(answer.proof));
	if (!send_answer(stranger->fd, &answer))
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "the answer could not be sent");
	stranger->state = TANDEM_TCP_STRANGER_PROOF;
	stranger->bytes_count = 0;
	return 0;
}

static int judge_fault(const struct tandem_tcp_stranger *stranger, enum tandem_hello_fault fault,
                       unsigned version, struct tandem_error *reterr_error)
{
	if (fault == TANDEM_HELLO_FAULT_NONE)
		return 0;
	if (fault != TANDEM_HELLO_FAULT_VERSION)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join", "its hello has %s",
		                        tandem_hello_fault_text(fault));
	say(stranger, TANDEM_VERDICT_VERSION);
	return tandem_error_set(reterr_error, TANDEM_E_VERSION, "join",
	                        "it speaks version %u, this side version %u", version,
	                        TANDEM_HELLO_VERSION);
}

static int take_hello(struct tandem_tcp_stranger *stranger, const struct tandem_key *keys,
                      unsigned key_count, struct tandem_error *reterr_error)
{
	unsigned version = 0;
	if (stranger->bytes_count < TANDEM_HELLO_BEGIN_BYTES)
		return 0;
	/* Who speaks another version, or no hello at all, may have nothing more to say. */
	enum tandem_hello_fault fault = tandem_hello_peek(stranger->bytes, &version);
	if (fault == TANDEM_HELLO_FAULT_NONE && stranger->bytes_count < TANDEM_HELLO_BYTES)
		return 0;
	if (fault == TANDEM_HELLO_FAULT_NONE)
		fault = tandem_hello_decode(stranger->bytes, &stranger->hello, &version);
	int status = judge_fault(stranger, fault, version, reterr_error);
	if (status != 0)
		return status;
	if (stranger->hello.kind == TANDEM_HELLO_CONTROL)
		return answer_control(stranger, keys, key_count, reterr_error);
	stranger->state = TANDEM_TCP_STRANGER_WAITING;
	return 0;
}

static int take_proof(struct tandem_tcp_stranger *stranger, struct tandem_error *reterr_error)
{
	uint8_t proof[TANDEM_PROOF_BYTES];
	if (stranger->bytes_count < TANDEM_PROOF_FRAME_BYTES)
		return 0;
	enum tandem_hello_fault fault = tandem_proof_decode(stranger->bytes, proof);
	if (fault != TANDEM_HELLO_FAULT_NONE)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join", "its proof has %s",
		                        tandem_hello_fault_text(fault));
	if (!tandem_mac_equal(proof, stranger->secrets.connecting_proof, sizeof(proof)))
		return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "join",
		                        "refused: it has not proven that it holds the key that it "
		                        "named (key_file differs)");
	stranger->state = TANDEM_TCP_STRANGER_PROVEN;
	return 0;
}

int tandem_tcp_stranger_hear(struct tandem_tcp_stranger *stranger, const struct tandem_key *keys,
                             unsigned key_count, struct tandem_error *reterr_error)
{
	bool is_hello = stranger->state == TANDEM_TCP_STRANGER_HELLO;
	size_t wanted_bytes = is_hello ? TANDEM_HELLO_BYTES : TANDEM_PROOF_FRAME_BYTES;
	if (!is_hello && stranger->state != TANDEM_TCP_STRANGER_PROOF)
		return 0;
	ssize_t got = recv(stranger->fd, stranger->bytes + stranger->bytes_count,
	                   wanted_bytes - stranger->bytes_count, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
		                        "it left without %s",
		                        is_hello ? "a hello" : "a proof of the key");
	stranger->bytes_count += (size_t)got;
	return is_hello ? take_hello(stranger, keys, key_count, reterr_error)
	                : take_proof(stranger, reterr_error);
}
