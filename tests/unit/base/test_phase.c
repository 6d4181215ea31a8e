#include <criterion/criterion.h>

#include <tandem/stats_page.h>

Test(phase, names)
{
	cr_assert_str_eq(tandem_phase_name(TANDEM_PHASE_RUN), "run");
	cr_assert_str_eq(tandem_phase_name(TANDEM_PHASE_REPLY), "reply");
	cr_assert_str_eq(tandem_phase_name(TANDEM_PHASE_COUNT), "unknown");
	cr_assert_str_eq(tandem_phase_name((enum tandem_phase)77), "unknown");
}
