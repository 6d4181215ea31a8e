#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shell/metrics.h"

#define HEADER_BYTES_MAX 8192
#define IDLE_SECONDS_MAX 5
/* Clients may not take the descriptors that data planes, links and the arbiter need: above this
 * number none is accepted until some have gone. */
#define DESCRIPTOR_MAX 512
#define PAUSE          ((struct timeval){.tv_sec = 1})

static const char page[] =
        "<!DOCTYPE html><title>tandem-failoverd</title><p><a href=\"/metrics\">/metrics</a> in "
        "Prometheus' text format.\n";

static void answer(struct evhttp_request *request, const char *type, struct evbuffer *buffer)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply(request, HTTP_OK, "OK", buffer);
	if (buffer)
		evbuffer_free(buffer);
}

static void on_metrics(struct evhttp_request *request, void *context)
{
	struct evbuffer *buffer = evbuffer_new();
	if (buffer)
		tandem_metrics_write(context, buffer);
	answer(request, "text/plain; version=0.0.4; charset=utf-8", buffer);
}

static void on_root(struct evhttp_request *request, void *context)
{
	struct evbuffer *buffer = evbuffer_new();
	(void)context;
	if (buffer)
		evbuffer_add(buffer, page, sizeof(page) - 1);
	answer(request, "text/html; charset=utf-8", buffer);
}

static void on_other(struct evhttp_request *request, void *context)
{
	(void)context;
	evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
	evhttp_send_reply(request, HTTP_NOTFOUND, "Not Found", NULL);
}

static void on_pause_end(evutil_socket_t fd, short what, void *context)
{
	struct tandem_controller *controller = context;
	(void)fd;
	(void)what;
	evconnlistener_enable(controller->metrics_listener);
}

/* Asked for a stream for each connection: the only place where they can be counted. */
static struct bufferevent *on_accept(struct event_base *base, void *context)
{
	struct tandem_controller *controller = context;
	struct timeval pause = PAUSE;
	(void)base;
	int lowest_free = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	if (lowest_free >= 0)
		close(lowest_free);
	if ((lowest_free < 0 || lowest_free > DESCRIPTOR_MAX) &&
	    evtimer_add(controller->metrics_pause, &pause) == 0)
		evconnlistener_disable(controller->metrics_listener);
	return NULL; /* an ordinary one */
}

static void limit(struct evhttp *http)
{
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET);
	evhttp_set_max_headers_size(http, HEADER_BYTES_MAX);
	evhttp_set_max_body_size(http, 0);
	evhttp_set_timeout(http, IDLE_SECONDS_MAX);
}

int tandem_metrics_open(struct tandem_controller *controller, struct tandem_error *reterr_error)
{
	const struct tandem_controller_options *options = &controller->options;
	if (options->metrics_port == 0)
		return 0;
	controller->metrics = evhttp_new(controller->base);
	controller->metrics_pause = evtimer_new(controller->base, on_pause_end, controller);
	if (!controller->metrics || !controller->metrics_pause)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "metrics", "no memory");
	limit(controller->metrics);
	evhttp_set_cb(controller->metrics, "/metrics", on_metrics, controller);
	evhttp_set_cb(controller->metrics, "/", on_root, controller);
	evhttp_set_gencb(controller->metrics, on_other, controller);
	struct evhttp_bound_socket *socket = evhttp_bind_socket_with_handle(
	        controller->metrics, options->metrics_address, options->metrics_port);
	if (!socket)
		return tandem_error_set_errno(
		        reterr_error, TANDEM_E_SYSTEM, EVUTIL_SOCKET_ERROR(), "bind",
		        "metrics_address %s, metrics_port %u: the address must be this node's and "
		        "the port free",
		        options->metrics_address, options->metrics_port);
	controller->metrics_listener = evhttp_bound_socket_get_listener(socket);
	evhttp_set_bevcb(controller->metrics, on_accept, controller);
	return 0;
}

void tandem_metrics_close(struct tandem_controller *controller)
{
	if (controller->metrics)
		evhttp_free(controller->metrics);
	if (controller->metrics_pause)
		event_free(controller->metrics_pause);
	controller->metrics = NULL;
	controller->metrics_pause = NULL;
}
