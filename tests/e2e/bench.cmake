# tandem-bench transport over TCP: the report's fields, and that they can be true.
tandem_add_script_test(bench_transport e2e 120 ${Python3_EXECUTABLE} -B
                       ${CMAKE_CURRENT_SOURCE_DIR}/bench_transport.py $<TARGET_FILE:tandem-bench>)
