# A solver that is killed in mid-run and ends on the other node; alone, because it is short of time.
tandem_add_script_test(jacobi e2e 300 ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/jacobi.py
                       ${PROJECT_BINARY_DIR}/bin)
set_tests_properties(e2e.jacobi PROPERTIES RUN_SERIAL ON)
# What the README runs is a configuration without mistakes.
tandem_add_script_test(jacobi_conf e2e 30 $<TARGET_FILE:tandemctl> check examples/jacobi/jacobi.conf)
