# The simulated cluster is shared with the scenarios.
add_library(failover_cluster STATIC failover/cluster.c failover/planes.c)
target_include_directories(failover_cluster PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/failover)
target_link_libraries(failover_cluster PUBLIC tandem_failover PRIVATE tandem_warnings)
tandem_add_plain_test(
  failover_schedules
  random
  TIMEOUT
  600
  SOURCES
  failover/schedules.c
  LIBRARIES
  failover_cluster)
