#include "device_hooks.h"

bool device_hold(bool is_held)
{
	(void)is_held;
	return false;
}

unsigned device_object_count(void)
{
	return 0;
}

const char *device_misuse(void)
{
	return "";
}
