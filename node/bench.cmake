tandem_add_program(
  tandem-bench
  bench.c
  bench_checkpoint.c
  bench_checkpoint_options.c
  bench_controller.c
  bench_fence.c
  bench_link.c
  bench_load.c
  bench_message.c
  bench_number.c
  bench_peer.c
  bench_peer_process.c
  bench_receiver.c
  bench_report.c
  bench_sender.c
  bench_transport.c
  bench_yank.c
  bench_yank_bare.c)
target_link_libraries(tandem-bench PRIVATE tandem_library PkgConfig::JSON Threads::Threads)
install(TARGETS tandem-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
