# The simulated cluster is shared with the scenarios.
add_library(
  failover_cluster STATIC
  failover/arbiter.c
  failover/cluster.c
  failover/judge.c
  failover/planes.c
  failover/program.c
  failover/sessions.c
  failover/standby.c)
target_include_directories(failover_cluster PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/failover)
target_link_libraries(failover_cluster PUBLIC tandem_failover PRIVATE tandem_warnings)
tandem_add_plain_test(
  failover_schedules
  random
  TIMEOUT
  900
  SOURCES
  failover/coverage.c
  failover/nemesis.c
  failover/schedules.c
  LIBRARIES
  failover_cluster)
# The linker leads every guard of the table through coverage.c.
file(READ ${PROJECT_SOURCE_DIR}/failover/core/rules.h rules)
string(REGEX MATCHALL "X\\([a-z_]+\\)" guards "${rules}")
foreach(guard ${guards})
  string(REGEX REPLACE "X\\((.*)\\)" "\\1" guard ${guard})
  target_link_options(failover_schedules PRIVATE -Wl,--wrap=tandem_guard_${guard})
endforeach()
target_link_options(failover_schedules PRIVATE -Wl,--wrap=tandem_facts_absorb)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/failover/core/rules.h)
