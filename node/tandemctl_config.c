#include "tandemctl.h"

static void line_print(void *context, const char *line)
{
	(void)context;
	puts(line);
}

int tandemctl_config(struct tandemctl *tandemctl)
{
	if (tandemctl->is_example == tandemctl->is_reference) {
		fprintf(stderr, "tandemctl: config needs --example or --reference\n");
		return TANDEMCTL_USAGE;
	}
	if (tandemctl->is_example)
		tandem_config_example(line_print, NULL);
	else
		tandem_config_reference(line_print, NULL);
	return TANDEMCTL_OK;
}
