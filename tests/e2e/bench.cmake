# tandem-bench transport over TCP: the report's fields, and that they can be true.
tandem_add_script_test(bench_transport e2e 120 ${Python3_EXECUTABLE} -B
                       ${CMAKE_CURRENT_SOURCE_DIR}/bench_transport.py $<TARGET_FILE:tandem-bench>)
# The comparison with the yardsticks, which no test judges: it only has to measure.
if(NOT TANDEM_SANITIZE)
  tandem_add_script_test(bench_tool_tcp e2e 180 ${Python3_EXECUTABLE} -B
                         ${CMAKE_CURRENT_SOURCE_DIR}/bench_tool.py tcp ${PROJECT_BINARY_DIR})
  set_tests_properties(e2e.bench_tool_tcp PROPERTIES RUN_SERIAL ON)
endif()
# The real programs, failing over a few times: they compete for the machine with whatever runs beside.
tandem_add_script_test(bench_failover e2e 300 ${Python3_EXECUTABLE} -B
                       ${CMAKE_CURRENT_SOURCE_DIR}/bench_failover.py $<TARGET_FILE:tandem-bench>)
set_tests_properties(e2e.bench_failover PROPERTIES RUN_SERIAL ON)
# tandem-bench checkpoint over TCP: its fields, its picture, and that nothing is left behind.
tandem_add_script_test(bench_checkpoint e2e 120 ${Python3_EXECUTABLE} -B
                       ${CMAKE_CURRENT_SOURCE_DIR}/bench_checkpoint.py $<TARGET_FILE:tandem-bench>)
# The tables and ratios of checkpoints, which no test judges: it only has to measure.
if(NOT TANDEM_SANITIZE)
  tandem_add_script_test(bench_checkpoint_tool e2e 300 ${Python3_EXECUTABLE} -B
                         ${CMAKE_CURRENT_SOURCE_DIR}/bench_checkpoint_tool.py ${PROJECT_BINARY_DIR})
  set_tests_properties(e2e.bench_checkpoint_tool PROPERTIES RUN_SERIAL ON)
endif()
