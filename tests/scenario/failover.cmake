# Traces of the simulated cluster (tests/random/failover), to be read as text.
tandem_add_test(
  test_failover_stories
  scenario
  SOURCES
  failover/test_hand_over.c
  failover/test_interrupted.c
  failover/test_leaving.c
  failover/test_misfit.c
  failover/test_protecting.c
  failover/test_same_generation.c
  failover/test_stories.c
  failover/test_words.c
  LIBRARIES
  failover_cluster)
