tandem_add_plain_test(stress_pulse stress SOURCES failover_pulse.c LIBRARIES tandem_failover ARGUMENTS 3)
