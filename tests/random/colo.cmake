# The same schedules each time, so that a change is what makes the difference: tools/nightly has new ones.
set(epoch_schedule_count 20000)
if(TANDEM_SANITIZE)
  set(epoch_schedule_count 4000)
endif()
set(colo_epochs_sources
    colo/check.c
    colo/controllers.c
    colo/main.c
    colo/network.c
    colo/primary_side.c
    colo/program.c
    colo/secondary_side.c
    colo/world.c)
tandem_add_plain_test(
  colo_epochs
  random
  TIMEOUT
  300
  SOURCES
  ${colo_epochs_sources}
  LIBRARIES
  tandem_colo
  ARGUMENTS
  --schedules
  ${epoch_schedule_count}
  --seed
  1000000)
# The checkers are worth what they find: every seeded bug.
if(NOT TANDEM_SANITIZE)
  add_test(NAME random.colo_epochs_prove COMMAND colo_epochs --prove 30000 --seed 1)
  tandem_test_properties(random.colo_epochs_prove random 300)
endif()
