# tools/bench-transport in a virtual machine, with tiny sizes.
tandem_add_device_test(bench_tool_rdma 400 /usr/bin/python3 -B
                       ${PROJECT_SOURCE_DIR}/tests/e2e/bench_tool.py rdma ${PROJECT_BINARY_DIR})
# tools/bench-qemu, a few checkpoints.
tandem_add_device_test(bench_qemu 300 /usr/bin/python3 -B
                       ${CMAKE_CURRENT_SOURCE_DIR}/bench_qemu_test.py quick ${PROJECT_BINARY_DIR})
