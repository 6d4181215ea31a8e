#include <tandem/rate.h>

#define SECOND_NS UINT64_C(1000000000)

static bool is_over(const struct tandem_rate *rate, uint64_t now_ns)
{
	return now_ns >= rate->second_ns + SECOND_NS;
}

bool tandem_rate_take(struct tandem_rate *rate, unsigned per_second_max, uint64_t now_ns)
{
	if (is_over(rate, now_ns)) {
		rate->second_ns = now_ns;
		rate->taken_count = 0;
	}
	if (rate->taken_count < per_second_max) {
		rate->taken_count++;
		return true;
	}
	rate->refused_count++;
	return false;
}

unsigned tandem_rate_refused(struct tandem_rate *rate, uint64_t now_ns)
{
	unsigned refused_count = rate->refused_count;
	if (!is_over(rate, now_ns))
		return 0;
	rate->refused_count = 0;
	return refused_count;
}
