#include "provider.h"

struct tandem_transport *tandem_transport_free(struct tandem_transport *transport)
{
	if (transport)
		transport->ops->free(transport);
	return NULL;
}

const struct tandem_transport_capabilities *tandem_transport_capabilities(
        const struct tandem_transport *transport)
{
	return &transport->capabilities;
}

int tandem_transport_listen(struct tandem_transport *transport,
                            const struct tandem_transport_options *options,
                            struct tandem_listener **ret_listener,
                            struct tandem_error *reterr_error)
{
	int status = tandem_transport_options_validate(options, reterr_error);
	if (status != 0)
		return status;
	return transport->ops->listen(transport, options, ret_listener, reterr_error);
}

int tandem_listener_fd(const struct tandem_listener *listener)
{
	return listener->ops->fd(listener);
}

uint16_t tandem_listener_port(const struct tandem_listener *listener)
{
	return listener->ops->port(listener);
}

int tandem_listener_accept(struct tandem_listener *listener, struct tandem_session **ret_session,
                           struct tandem_error *reterr_error)
{
	return listener->ops->accept(listener, ret_session, reterr_error);
}

uint64_t tandem_listener_deadline_ns(const struct tandem_listener *listener)
{
	return listener->ops->deadline_ns(listener);
}

struct tandem_listener *tandem_listener_free(struct tandem_listener *listener)
{
	if (listener)
		listener->ops->free(listener);
	return NULL;
}

int tandem_transport_connect(struct tandem_transport *transport,
                             const struct tandem_transport_options *options,
                             struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	int status = tandem_transport_options_validate(options, reterr_error);
	if (status != 0)
		return status;
	if (options->port == 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "options",
		                        "port is 0; it must be 1 to 65535 to connect");
	return transport->ops->connect(transport, options, ret_session, reterr_error);
}
