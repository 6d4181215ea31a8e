#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "etcd_bed.h"

/* One server that demands a client certificate; all certificates are made by the test. */
static struct etcd_cluster cluster;
static struct etcd_client client;

static void spell(char ret_path[TANDEM_CONTROLLER_PATH_BYTES], const char *name)
{
	snprintf(ret_path, TANDEM_CONTROLLER_PATH_BYTES, "%.63s/%s", etcd_directory, name);
}

static void run(const char *command)
{
	char line[900];
	snprintf(line, sizeof(line),
	         "cd %s && { %s; } > openssl.log 2>&1 || { cat openssl.log; exit 1; }",
	         etcd_directory, command);
	cr_assert(system(line) == 0, "%s", command);
}

static void make_authority(const char *name)
{
	char command[400];
	snprintf(command, sizeof(command),
	         "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
	         "-subj /CN=%s -keyout %s.key -out %s.pem",
	         name, name, name);
	run(command);
}

/* For servers and clients: etcd's gateway is a client of its own server. */
static void make_certificate(const char *name, const char *authority)
{
	char command[700];
	snprintf(command, sizeof(command),
	         "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s "
	         "-keyout %s.key -out %s.csr && "
	         "printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' "
	         "> ext && "
	         "openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 2 "
	         "-extfile ext -out %s.pem",
	         name, name, name, name, authority, authority, name);
	run(command);
}

static void begin(void)
{
	char certificate[TANDEM_CONTROLLER_PATH_BYTES], key[TANDEM_CONTROLLER_PATH_BYTES];
	char authority[TANDEM_CONTROLLER_PATH_BYTES];
	etcd_bed_begin();
	make_authority("ours");
	make_authority("theirs");
	make_certificate("server", "ours");
	make_certificate("client", "ours");
	make_certificate("stranger", "theirs");
	spell(certificate, "server.pem");
	spell(key, "server.key");
	spell(authority, "ours.pem");
	const char *const extra[] = {"--cert-file",        certificate,         "--key-file", key,
	                             "--client-cert-auth", "--trusted-ca-file", authority,    NULL};
	etcd_start(&cluster, 1, "https", extra);
}

static void end(void)
{
	etcd_client_close(&client);
	etcd_bed_end();
}

TestSuite(etcd_tls, .init = begin, .fini = end);

static void open_as(const char *authority, const char *who)
{
	struct tandem_controller_pair pair = etcd_pair();
	char name[64];
	etcd_pair_add(&pair, cluster.urls[0]);
	snprintf(name, sizeof(name), "%s.pem", authority);
	spell(pair.etcd.ca_file, name);
	if (who) {
		snprintf(name, sizeof(name), "%s.pem", who);
		spell(pair.etcd.cert_file, name);
		snprintf(name, sizeof(name), "%s.key", who);
		spell(pair.etcd.client_key_file, name);
	}
	etcd_client_close(&client);
	etcd_client_open(&client, "a", &pair);
}

static bool can_read(void *context)
{
	(void)context;
	return etcd_read(&client)->type == TANDEM_EVENT_RECORD;
}

static void expect_refusal(const char *authority, const char *who)
{
	open_as(authority, who);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
	cr_log_info("%s", client.last.error.detail);
}

Test(etcd_tls, only_the_right_certificates_are_served_and_believed)
{
	struct tandem_record nothing = {.generation = 0}, first = etcd_record(1, 10);
	open_as("ours", "client");
	etcd_wait_until(can_read, NULL, "etcd does not come up with TLS");
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_WON);
	expect_refusal("theirs", "client");
	cr_expect(strstr(client.last.error.detail, "certificate") != NULL, "%s",
	          client.last.error.detail);
	expect_refusal("ours", NULL);
	expect_refusal("ours", "stranger");
	expect_refusal("missing", "client");
	open_as("ours", "client");
	cr_expect(etcd_read(&client)->record.decision == 10);
}
