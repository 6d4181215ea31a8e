#include "tandemctl.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The options, in one table with getopt's: every sub-command says which it takes; --config, --node,
 * --run-dir and --help go with all. */
enum option_letter {
	OPTION_CONFIG = 'c',
	OPTION_NODE = 'n',
	OPTION_RUN_DIRECTORY = 'r',
	OPTION_HELP = 'h',
	OPTION_VERSION = 'v',
	OPTION_PAIR = 'p',
	OPTION_JSON = 'j',
	OPTION_WATCH = 'w',
	OPTION_EXIT_CODE = 'x',
	OPTION_FOLLOW = 'o',
	OPTION_LIVE = 'l',
	OPTION_TIMEOUT = 't',
	OPTION_GENERATION = 'g',
	OPTION_ACCEPT = 'a',
	OPTION_EXAMPLE = 'e',
	OPTION_REFERENCE = 'f',
};

static const struct option options[] = {
        {"config", required_argument, NULL, OPTION_CONFIG},
        {"node", required_argument, NULL, OPTION_NODE},
        {"run-dir", required_argument, NULL, OPTION_RUN_DIRECTORY},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"pair", required_argument, NULL, OPTION_PAIR},
        {"json", no_argument, NULL, OPTION_JSON},
        {"watch", no_argument, NULL, OPTION_WATCH},
        {"exit-code", no_argument, NULL, OPTION_EXIT_CODE},
        {"live", no_argument, NULL, OPTION_LIVE},
        {"follow", no_argument, NULL, OPTION_FOLLOW},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"generation", required_argument, NULL, OPTION_GENERATION},
        {"accept-data-loss", no_argument, NULL, OPTION_ACCEPT},
        {"i-accept-data-loss", no_argument, NULL, OPTION_ACCEPT},
        {"example", no_argument, NULL, OPTION_EXAMPLE},
        {"reference", no_argument, NULL, OPTION_REFERENCE},
        {NULL, 0, NULL, 0},
};

static const struct command {
	const char *name;
	const char *follows;
	const char *options;
	int (*run)(struct tandemctl *tandemctl);
} commands[] = {
#define X(function, name, follows, options, purpose) {name, follows, options, tandemctl_##function},
        TANDEMCTL_COMMAND_TABLE(X)
#undef X
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

struct words {
	bool wants_help;
	bool wants_version;
	char letters[32]; /* options given, each once, for the check */
	char **positional;
	int positional_count;
};

static int TANDEM_PRINTF(1, 2) usage(const char *format, ...)
{
	va_list arguments;
	fputs("tandemctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs(" (tandemctl --help has examples)\n", stderr);
	return TANDEMCTL_USAGE;
}

/* Of optarg. */
static int read_number(const char *option, const char *which, uint64_t *ret_number)
{
	char *end = NULL;
	errno = 0;
	unsigned long long value = strtoull(optarg, &end, 10);
	if (errno != 0 || *end != '\0' || optarg[strspn(optarg, "0123456789")] != '\0' || !*optarg)
		return usage("--%s '%.40s': a number needed, %s", option, optarg, which);
	*ret_number = value;
	return TANDEMCTL_OK;
}

static void take_flag(int letter, struct tandemctl *tandemctl, struct words *words)
{
	words->wants_help = words->wants_help || letter == OPTION_HELP;
	words->wants_version = words->wants_version || letter == OPTION_VERSION;
	tandemctl->is_json = tandemctl->is_json || letter == OPTION_JSON;
	tandemctl->is_watch = tandemctl->is_watch || letter == OPTION_WATCH;
	tandemctl->is_exit_code = tandemctl->is_exit_code || letter == OPTION_EXIT_CODE;
	tandemctl->is_follow = tandemctl->is_follow || letter == OPTION_FOLLOW;
	tandemctl->is_live = tandemctl->is_live || letter == OPTION_LIVE;
	tandemctl->accepts_data_loss = tandemctl->accepts_data_loss || letter == OPTION_ACCEPT;
	tandemctl->is_example = tandemctl->is_example || letter == OPTION_EXAMPLE;
	tandemctl->is_reference = tandemctl->is_reference || letter == OPTION_REFERENCE;
}

static int take_option(int letter, struct tandemctl *tandemctl, struct words *words)
{
	size_t length = strlen(words->letters);
	if (!strchr(words->letters, letter) && length + 1 < sizeof(words->letters))
		words->letters[length] = (char)letter;
	switch (letter) {
	case OPTION_CONFIG:
		tandemctl->path = optarg;
		break;
	case OPTION_NODE:
		tandemctl->node = optarg;
		break;
	case OPTION_RUN_DIRECTORY:
		tandemctl->run_directory = optarg;
		break;
	case OPTION_PAIR:
		tandemctl->pair = optarg;
		break;
	case OPTION_GENERATION:
		tandemctl->has_generation = true;
		return read_number("generation", "the one that status shows",
		                   &tandemctl->generation);
	case OPTION_TIMEOUT:
		tandemctl->has_timeout = true;
		return read_number("timeout", "seconds, 0 for not waiting",
		                   &tandemctl->timeout_seconds);
	default:
		take_flag(letter, tandemctl, words);
		break;
	}
	return TANDEMCTL_OK;
}

static int unknown_option(const char *word)
{
	const char *names[sizeof(options) / sizeof(options[0])] = {NULL};
	char name[64];
	for (size_t i = 0; options[i].name; i++)
		names[i] = options[i].name;
	snprintf(name, sizeof(name), "%s", word + strspn(word, "-"));
	name[strcspn(name, "=")] = '\0';
	const char *nearest = tandem_config_nearest(name, names);
	if (nearest && strcmp(nearest, name) == 0)
		return usage("option --%s needs a value, or takes none", name);
	return usage("unknown option '%.64s'%s%s%s", word, nearest ? "; did you mean --" : "",
	             nearest ? nearest : "", nearest ? "?" : "");
}

static int read_words(int count, char **arguments, struct tandemctl *tandemctl, struct words *words)
{
	int letter;
	opterr = 0;
	while ((letter = getopt_long(count, arguments, "", options, NULL)) != -1) {
		int status = letter == '?' ? unknown_option(arguments[optind - 1])
		                           : take_option(letter, tandemctl, words);
		if (status != TANDEMCTL_OK)
			return status;
	}
	words->positional = arguments + optind;
	words->positional_count = count - optind;
	return TANDEMCTL_OK;
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[COMMAND_COUNT + 1] = {NULL};
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = commands[i].name;
	const char *nearest = tandem_config_nearest(name, names);
	return usage("unknown command '%.64s'%s%s%s", name, nearest ? "; did you mean '" : "",
	             nearest ? nearest : "", nearest ? "'?" : "");
}

static const char *option_name(char letter)
{
	for (size_t i = 0; options[i].name; i++) {
		if (options[i].val == letter)
			return options[i].name;
	}
	return "";
}

/* Whether `name` is a word of `list`, whose words are separated by blanks. */
static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = strstr(list, name); at; at = strstr(at + 1, name)) {
		if ((at == list || at[-1] == ' ') && (at[length] == '\0' || at[length] == ' '))
			return true;
	}
	return false;
}

static int check_options(const struct command *command, const struct words *words)
{
	for (const char *letter = words->letters; *letter; letter++) {
		const char *name = option_name(*letter);
		if (strchr("cnrh", *letter) || is_listed(command->options, name))
			continue;
		return usage("%s does not take --%s", command->name, name);
	}
	return TANDEMCTL_OK;
}

/* "PAIR", "FILE", "[FILE]" and "on|off PAIR" are all there is. */
static int take_positional(const struct command *command, const struct words *words,
                           struct tandemctl *tandemctl)
{
	char **word = words->positional + 1, **end = words->positional + words->positional_count;
	if (strncmp(command->follows, "on|off", strlen("on|off")) == 0) {
		if (word == end || (strcmp(*word, "on") != 0 && strcmp(*word, "off") != 0))
			return usage("%s needs %s", command->name, command->follows);
		tandemctl->is_on = strcmp(*word++, "on") == 0;
	}
	if (strstr(command->follows, "PAIR")) {
		if (word == end)
			return usage("%s needs %s", command->name, command->follows);
		tandemctl->pair = *word++;
	} else if (strstr(command->follows, "FILE") && word < end) {
		tandemctl->file = *word++;
	} else if (strcmp(command->follows, "FILE") == 0) {
		return usage("%s needs %s", command->name, command->follows);
	}
	if (word < end)
		return usage("%s: unexpected '%.64s'", command->name, *word);
	return TANDEMCTL_OK;
}

static int run(struct tandemctl *tandemctl, const struct words *words)
{
	const char *name = words->positional_count > 0 ? words->positional[0] : NULL;
	const struct command *command = name ? command_find(name) : NULL;
	if (words->wants_version) {
		printf("tandemctl %s\n", TANDEM_VERSION);
		return TANDEMCTL_OK;
	}
	if (words->wants_help && (!name || command)) {
		tandemctl_help(name, stdout);
		return TANDEMCTL_OK;
	}
	if (!name) {
		tandemctl_help(NULL, stderr);
		return TANDEMCTL_USAGE;
	}
	if (!command)
		return unknown_command(name);
	int status = check_options(command, words);
	if (status == TANDEMCTL_OK)
		status = take_positional(command, words, tandemctl);
	return status == TANDEMCTL_OK ? command->run(tandemctl) : status;
}

int main(int argument_count, char **arguments)
{
	struct tandemctl tandemctl = {.path = NULL};
	struct words words = {.wants_help = false};
	signal(SIGPIPE, SIG_IGN);
	int status = read_words(argument_count, arguments, &tandemctl, &words);
	return status == TANDEMCTL_OK ? run(&tandemctl, &words) : status;
}
