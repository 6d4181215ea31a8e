#include "shell/etcd_http.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "shell/etcd_text.h"

struct tandem_etcd_http {
	struct event_base *base;
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	struct event *timer;
	bool is_posted;
	tandem_etcd_reply_fn on_reply;
	void *context;
	size_t length;
	char body[TANDEM_ETCD_ANSWER_BYTES];
	char error[CURL_ERROR_SIZE];
};

/* A socket of the library's. */
struct watch {
	struct event *event;
};

static void take_reply(struct tandem_etcd_http *http, CURLcode code)
{
	long sent_bytes = 0;
	struct tandem_etcd_reply reply = {.body = http->body, .length = http->length};
	curl_easy_getinfo(http->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
	reply.was_sent = sent_bytes > 0;
	if (code == CURLE_OK)
		curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &reply.http_status);
	else
		reply.error = http->error[0] ? http->error : curl_easy_strerror(code);
	curl_multi_remove_handle(http->multi, http->easy);
	http->is_posted = false;
	http->on_reply(http->context, &reply);
}

static void act(struct tandem_etcd_http *http, curl_socket_t fd, int kinds)
{
	int running = 0, left = 0;
	curl_multi_socket_action(http->multi, fd, kinds, &running);
	const CURLMsg *message = curl_multi_info_read(http->multi, &left);
	if (message && message->msg == CURLMSG_DONE)
		take_reply(http, message->data.result);
}

static void on_ready(evutil_socket_t fd, short what, void *context)
{
	int kinds =
	        (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	act(context, fd, kinds);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	act(context, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wish(CURLM *multi, long wait_ms, void *context)
{
	struct tandem_etcd_http *http = context;
	struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	(void)multi;
	if (wait_ms < 0)
		return event_del(http->timer);
	return event_add(http->timer, &wait);
}

static void drop_watch(struct watch *watch)
{
	if (watch && watch->event)
		event_free(watch->event);
	tandem_memory_free(watch);
}

static int on_socket_wish(CURL *easy, curl_socket_t fd, int wish, void *context, void *known)
{
	struct tandem_etcd_http *http = context;
	struct watch *watch = known;
	short kinds = EV_PERSIST;
	(void)easy;
	drop_watch(watch);
	curl_multi_assign(http->multi, fd, NULL);
	if (wish == CURL_POLL_REMOVE)
		return 0;
	kinds |= wish & CURL_POLL_IN ? EV_READ : 0;
	kinds |= wish & CURL_POLL_OUT ? EV_WRITE : 0;
	watch = tandem_memory_alloc(sizeof(*watch));
	if (watch)
		watch->event = event_new(http->base, fd, kinds, on_ready, http);
	if (!watch || !watch->event || event_add(watch->event, NULL) != 0 ||
	    curl_multi_assign(http->multi, fd, watch) != CURLM_OK) {
		drop_watch(watch);
		return -1;
	}
	return 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
	struct tandem_etcd_http *http = context;
	size_t length = size * count;
	if (length > sizeof(http->body) - http->length)
		return 0;
	memcpy(http->body + http->length, bytes, length);
	http->length += length;
	return length;
}

static void fill_security(struct tandem_etcd_http *http, const struct tandem_controller_etcd *etcd)
{
	CURL *easy = http->easy;
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (etcd->ca_file[0]) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, etcd->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (etcd->cert_file[0]) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT, etcd->cert_file);
		curl_easy_setopt(easy, CURLOPT_SSLKEY, etcd->client_key_file);
	}
}

/* The environment's proxies and the names that it redirects to have no say in who leads. */
static void fill_easy(struct tandem_etcd_http *http, const struct tandem_controller_etcd *etcd)
{
	CURL *easy = http->easy;
	long timeout_ms = (long)(etcd->request_timeout_ns / TANDEM_NS_PER_MS);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	/* A resolver that hangs is left to its own thread. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	fill_security(http, etcd);
}

static bool fill_handles(struct tandem_etcd_http *http, const struct tandem_controller_etcd *etcd)
{
	http->multi = curl_multi_init();
	http->easy = curl_easy_init();
	http->headers = curl_slist_append(NULL, "Content-Type: application/json");
	http->timer = evtimer_new(http->base, on_time, http);
	if (!http->multi || !http->easy || !http->headers || !http->timer)
		return false;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	fill_easy(http, etcd);
	return true;
}

int tandem_etcd_http_new(struct event_base *base, const struct tandem_controller_etcd *etcd,
                         tandem_etcd_reply_fn on_reply, void *context,
                         struct tandem_etcd_http **ret_http, struct tandem_error *reterr_error)
{
	struct tandem_etcd_http *http;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "curl_global_init",
		                        "libcurl cannot be used");
	http = tandem_memory_alloc(sizeof(*http));
	if (http) {
		http->base = base;
		http->on_reply = on_reply;
		http->context = context;
	}
	if (!http)
		curl_global_cleanup();
	if (!http || !fill_handles(http, etcd)) {
		tandem_etcd_http_free(http);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "curl_easy_init",
		                        "no memory");
	}
	*ret_http = http;
	return 0;
}

int tandem_etcd_http_post(struct tandem_etcd_http *http, const char *endpoint, const char *body,
                          struct tandem_error *reterr_error)
{
	char url[TANDEM_CONTROLLER_URL_BYTES + sizeof(TANDEM_ETCD_PATH)];
	snprintf(url, sizeof(url), "%s" TANDEM_ETCD_PATH, endpoint);
	http->length = 0;
	http->error[0] = 0;
	if (curl_easy_setopt(http->easy, CURLOPT_URL, url) != CURLE_OK ||
	    curl_easy_setopt(http->easy, CURLOPT_COPYPOSTFIELDS, body) != CURLE_OK)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "curl_easy_setopt",
		                        "no memory");
	CURLMcode code = curl_multi_add_handle(http->multi, http->easy);
	if (code != CURLM_OK)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "curl_multi_add_handle",
		                        "%s", curl_multi_strerror(code));
	http->is_posted = true;
	return 0;
}

void tandem_etcd_http_free(struct tandem_etcd_http *http)
{
	if (!http)
		return;
	if (http->is_posted)
		curl_multi_remove_handle(http->multi, http->easy);
	curl_easy_cleanup(http->easy);
	curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->headers);
	if (http->timer)
		event_free(http->timer);
	tandem_memory_free(http);
	curl_global_cleanup();
}
