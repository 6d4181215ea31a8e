tandem_add_program(tandem-bench bench.c bench_checkpoint.c bench_controller.c bench_peer.c)
target_link_libraries(tandem-bench PRIVATE tandem_colo PkgConfig::JSON)
