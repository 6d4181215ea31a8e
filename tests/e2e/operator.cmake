# What tandemctl says of a pair that runs: doctor, status, config.
tandem_add_script_test(operators_eye e2e 240 ${Python3_EXECUTABLE} -B
                       ${CMAKE_CURRENT_SOURCE_DIR}/operators_eye.py ${PROJECT_BINARY_DIR})
