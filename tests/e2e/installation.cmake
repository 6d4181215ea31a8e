# What is installed can be built with. Instrumented libraries need an instrumented program.
if(NOT TANDEM_SANITIZE)
  tandem_add_script_test(installation e2e 120 ${Python3_EXECUTABLE} -B
                         ${CMAKE_CURRENT_SOURCE_DIR}/installation.py ${PROJECT_BINARY_DIR})
endif()
