# Wrong bytes on every socket of real programs; alone, because it looks at times and memory.
tandem_add_script_test(bad_input e2e 420 ${Python3_EXECUTABLE} -B tests/e2e/bad_input --build
                       ${PROJECT_BINARY_DIR})
# The label: tools/test runs it under the sanitizers only, which see more of it.
set_tests_properties(e2e.bad_input PROPERTIES RUN_SERIAL ON LABELS "e2e;hostile")
