#include <criterion/criterion.h>

#include <string.h>
#include <tandem/transport.h>

Test(open, an_unknown_provider_is_a_configuration_error)
{
	struct tandem_transport *transport = NULL;
	struct tandem_error error;
	cr_assert_eq(tandem_transport_open("quic", "", &transport, &error), TANDEM_E_CONFIG);
	cr_assert(strstr(error.detail, "quic") && strstr(error.detail, "rdma"));
	cr_assert_null(transport);
}

Test(open, a_name_is_not_an_address)
{
	struct tandem_transport *transport = NULL;
	struct tandem_error error;
	cr_assert_eq(tandem_transport_open("tcp", "localhost", &transport, &error),
	             TANDEM_E_CONFIG);
	cr_assert(strstr(error.detail, "localhost"));
	cr_assert_null(transport);
}

Test(open, automatic_says_what_it_took_and_why)
{
	struct tandem_transport *transport = NULL;
	cr_assert_eq(tandem_transport_open("auto", "127.0.0.1", &transport, NULL), 0);
	const struct tandem_transport_capabilities *capabilities =
	        tandem_transport_capabilities(transport);
	if (strcmp(capabilities->name, "tcp") == 0)
		cr_assert(strncmp(capabilities->detail, "TCP (no RDMA: ", 14) == 0);
	else
		cr_assert_str_eq(capabilities->name, "rdma");
	cr_assert_gt(strlen(capabilities->detail), 15);
	transport = tandem_transport_free(transport);
	cr_assert_null(transport);
}

Test(open, tcp_says_what_it_is)
{
	struct tandem_transport *transport = NULL;
	cr_assert_eq(tandem_transport_open("tcp", "::1", &transport, NULL), 0);
	const struct tandem_transport_capabilities *capabilities =
	        tandem_transport_capabilities(transport);
	cr_assert_str_eq(capabilities->name, "tcp");
	cr_assert_str_eq(capabilities->detail, "TCP on ::1");
	cr_assert(!capabilities->has_one_sided_writes && !capabilities->needs_registration);
	tandem_transport_free(transport);
}

Test(open, an_address_of_another_machine_cannot_be_listened_on)
{
	struct tandem_transport *transport = NULL;
	struct tandem_listener *listener = NULL;
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_error error;
	cr_assert_eq(tandem_transport_open("tcp", "", &transport, NULL), 0);
	memcpy(options.rails[0].address, "192.0.2.1",
	       sizeof("192.0.2.1")); /* RFC 5737: never anybody's */
	cr_assert_eq(tandem_transport_listen(transport, &options, &listener, &error),
	             TANDEM_E_CONFIG);
	cr_assert(strstr(error.detail, "192.0.2.1"));
	tandem_transport_free(transport);
}

Test(open, a_taken_port_is_a_system_error)
{
	struct tandem_transport *transport = NULL;
	struct tandem_listener *first = NULL, *second = NULL;
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_error error;
	cr_assert_eq(tandem_transport_open("tcp", "", &transport, NULL), 0);
	memcpy(options.rails[0].address, "127.0.0.1", sizeof("127.0.0.1"));
	cr_assert_eq(tandem_transport_listen(transport, &options, &first, NULL), 0);
	options.port = tandem_listener_port(first);
	cr_assert_eq(tandem_transport_listen(transport, &options, &second, &error),
	             TANDEM_E_SYSTEM);
	cr_assert_gt(error.os_errno, 0);
	tandem_listener_free(first);
	tandem_transport_free(transport);
}

Test(open, null_is_freed)
{
	cr_assert_null(tandem_transport_free(NULL));
	cr_assert_null(tandem_listener_free(NULL));
	cr_assert_null(tandem_session_free(NULL));
	cr_assert_null(tandem_fabric_free(NULL));
}
