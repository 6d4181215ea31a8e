tandem_add_program(tandem-bench bench.c bench_checkpoint.c bench_controller.c bench_peer.c)
target_link_libraries(tandem-bench PRIVATE tandem_library PkgConfig::JSON)
install(TARGETS tandem-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
