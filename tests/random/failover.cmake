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
# Enough of them meet every cell of the table; under the sanitizers there is no time for that. The
# same ones each time, so that a change is what makes the difference: tools/nightly has new ones.
set(schedule_count 50000)
if(TANDEM_SANITIZE)
  set(schedule_count 2000)
endif()
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
  failover_cluster
  ARGUMENTS
  --schedules
  ${schedule_count}
  --seed
  1000000
  --jobs
  2)
set_tests_properties(random.failover_schedules PROPERTIES PROCESSORS 2)
# The checkers are worth what they find: every seeded bug.
if(NOT TANDEM_SANITIZE)
  add_test(NAME random.failover_schedules_prove COMMAND failover_schedules --prove 20000 --seed 1
                                                        --jobs 2)
  tandem_test_properties(random.failover_schedules_prove random 900)
  set_tests_properties(random.failover_schedules_prove PROPERTIES PROCESSORS 2)
endif()
# The linker leads every guard of the table through coverage.c.
file(READ ${PROJECT_SOURCE_DIR}/failover/core/rules.h rules)
string(REGEX MATCHALL "X\\([a-z_]+\\)" guards "${rules}")
foreach(guard ${guards})
  string(REGEX REPLACE "X\\((.*)\\)" "\\1" guard ${guard})
  target_link_options(failover_schedules PRIVATE -Wl,--wrap=tandem_guard_${guard})
endforeach()
target_link_options(failover_schedules PRIVATE -Wl,--wrap=tandem_facts_absorb
                                               -Wl,--wrap=tandem_record_is_newer)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/failover/core/rules.h)
