# tools/bench-transport in a virtual machine, with tiny sizes.
tandem_add_device_test(bench_tool_rdma 400 /usr/bin/python3 -B
                       ${PROJECT_SOURCE_DIR}/tests/e2e/bench_tool.py rdma ${PROJECT_BINARY_DIR})
