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
  20000
  --seed
  new)
# The checkers are worth what they find: every seeded bug.
add_test(NAME random.colo_epochs_prove COMMAND colo_epochs --prove 30000 --seed 1)
tandem_test_properties(random.colo_epochs_prove random 300)
