# The lab (two fake controllers, a greeter, a standby) is used by the stress tests too.
add_library(colo_lab STATIC colo/controller.c colo/lab.c colo/stranger.c)
target_include_directories(colo_lab PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/colo)
target_link_libraries(colo_lab PUBLIC tandem_library tandem_transport tandem_base Threads::Threads
                               PRIVATE tandem_warnings)
tandem_add_test(
  test_colo_pair
  scenario
  SOURCES
  colo/test_pair.c
  colo/test_free.c
  colo/test_leave.c
  colo/test_loss.c
  colo/test_program.c
  colo/test_promotion.c
  colo/test_strangers.c
  LIBRARIES
  colo_lab)
tandem_add_test(test_colo_needs scenario SOURCES colo/test_needs.c LIBRARIES colo_lab)
# A file system that fills up: the test has the call that takes room.
tandem_add_test(test_colo_room scenario SOURCES colo/test_room.c LIBRARIES colo_lab)
# Channels that are lost at the engine's own named places.
tandem_add_test(
  test_colo_channels
  scenario
  SOURCES
  colo/breaker.c
  colo/test_channels.c
  LIBRARIES
  colo_lab)
target_link_options(test_colo_channels PRIVATE -Wl,--wrap=tandem_transport_connect
                    -Wl,--wrap=tandem_session_free)
# A thread of the program that drives the engine and goes to sleep late.
tandem_add_test(test_colo_helm scenario SOURCES colo/test_helm.c LIBRARIES colo_lab)
target_link_options(test_colo_helm PRIVATE -Wl,--wrap=ppoll)
