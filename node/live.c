#include "live.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void tandem_live_say(struct tandem_doctor_report *report, enum tandem_doctor_level level,
                     const char *topic, const char *fix, const char *format, ...)
{
	va_list arguments;
	if (report->count == TANDEM_DOCTOR_FINDINGS_MAX)
		return;
	struct tandem_doctor_finding *finding = &report->findings[report->count++];
	*finding = (struct tandem_doctor_finding){.level = level, .topic = topic};
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof(finding->text), format, arguments);
	va_end(arguments);
	snprintf(finding->fix, sizeof(finding->fix), "%s", fix);
}

struct need {
	const char *topic;
	const char *path;
	mode_t forbidden; /* bits of its mode */
	const char *needed;
	enum tandem_doctor_level level; /* of a wrong mode */
	bool is_needed;                 /* false: the programs make it */
};

static void check_one(const struct need *need, struct tandem_doctor_report *report)
{
	struct stat file;
	char fix[320];
	if (stat(need->path, &file) != 0) {
		if (errno != ENOENT || need->is_needed)
			tandem_live_say(report, TANDEM_DOCTOR_FAILURE, need->topic, "", "%s: %s",
			                need->path, strerror(errno));
		return;
	}
	if (file.st_uid != 0 && file.st_uid != geteuid()) {
		snprintf(fix, sizeof(fix), "chown root %s, or run as its owner", need->path);
		tandem_live_say(report, TANDEM_DOCTOR_WARNING, need->topic, fix,
		                "%s belongs to user %u, root or the user of the programs needed",
		                need->path, (unsigned)file.st_uid);
	}
	if ((file.st_mode & need->forbidden) == 0)
		return;
	snprintf(fix, sizeof(fix), "chmod %s %s", need->needed, need->path);
	tandem_live_say(report, need->level, need->topic, fix, "%s: mode %04o seen, %s needed",
	                need->path, (unsigned)file.st_mode & 07777, need->needed);
}

static void check_arbiter(const struct tandem_config_node *node,
                          const struct tandem_config_pair *pair,
                          struct tandem_doctor_report *report)
{
	char path[TANDEM_CONFIG_PATH_BYTES];
	const struct tandem_config_arbiter *arbiter = &pair->arbiter;
	if (strcmp(arbiter->type, "etcd") != 0 &&
	    tandem_config_arbiter_path(node, pair, path, sizeof(path), NULL) == 0)
		check_one(
		        &(struct need){"arbiter", path, 022, "0700", TANDEM_DOCTOR_WARNING, false},
		        report);
	if (arbiter->client_key_file[0])
		check_one(&(struct need){"etcd key", arbiter->client_key_file, 077, "0600",
		                         TANDEM_DOCTOR_FAILURE, true},
		          report);
	if (arbiter->cert_file[0])
		check_one(&(struct need){"etcd cert", arbiter->cert_file, 022, "0644",
		                         TANDEM_DOCTOR_FAILURE, true},
		          report);
	if (arbiter->ca_file[0])
		check_one(&(struct need){"etcd ca", arbiter->ca_file, 022, "0644",
		                         TANDEM_DOCTOR_FAILURE, true},
		          report);
}

void tandem_live_permissions(const struct tandem_config *config,
                             const struct tandem_config_node *node,
                             struct tandem_doctor_report *report)
{
	/* Who may write the file has commands run as the programs' user. */
	const struct need needs[] = {
	        {"file", config->path, 022, "0644", TANDEM_DOCTOR_WARNING, true},
	        {"run dir", node->run_directory, 022, "0700", TANDEM_DOCTOR_FAILURE, false},
	        {"image dir", node->image_directory, 022, "0700", TANDEM_DOCTOR_FAILURE, false},
	};
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		check_one(&needs[i], report);
	for (size_t i = 0; i < config->pair_count; i++) {
		if (tandem_config_serves(node, &config->pairs[i]))
			check_arbiter(node, &config->pairs[i], report);
	}
}
