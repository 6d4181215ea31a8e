#include "device_hooks.h"

#include "fake.h"

bool device_hold(bool is_held)
{
	fake_hold(is_held);
	return true;
}

unsigned device_object_count(void)
{
	return fake_live_count();
}

const char *device_misuse(void)
{
	return fake_misuse();
}
