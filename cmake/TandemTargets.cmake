# The kinds of targets. Rooms: a pure core (static), a shell (static) that links it; programs; tests by kind.

# tandem_add_core(<name> FILES...): pure code; what it may link to is checked by `ctest -L tidy`.
set_property(GLOBAL PROPERTY TANDEM_CORES "")
function(tandem_add_core name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE tandem_warnings)
  set_property(GLOBAL APPEND PROPERTY TANDEM_CORES ${name})
endfunction()

# tandem_add_shell(<name> FILES...): code that does I/O.
function(tandem_add_shell name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE tandem_warnings)
endfunction()

# tandem_add_program(<name> FILES...): an executable in build/bin.
function(tandem_add_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE tandem_warnings)
endfunction()

# tandem_add_test(<name> <label> SOURCES... LIBRARIES...): a Criterion binary.
# A leak report or a run that skipped everything must not count as a pass.
function(tandem_add_test name label)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;LIBRARIES;ARGUMENTS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  add_executable(${name} ${TEST_SOURCES})

  target_link_libraries(${name} PRIVATE tandem_warnings PkgConfig::CRITERION ${TEST_LIBRARIES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${label}.${name} COMMAND ${name} --timeout ${TEST_TIMEOUT} ${TEST_ARGUMENTS})
  tandem_test_properties(${label}.${name} ${label} ${TEST_TIMEOUT})
endfunction()

# tandem_add_plain_test(<name> <label> SOURCES... LIBRARIES...): a plain main(), for thread sanitizer and long runs.
function(tandem_add_plain_test name label)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;LIBRARIES;ARGUMENTS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE tandem_warnings ${TEST_LIBRARIES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${label}.${name} COMMAND ${name} ${TEST_ARGUMENTS})
  tandem_test_properties(${label}.${name} ${label} ${TEST_TIMEOUT})
endfunction()

# tandem_add_script_test(<name> <label> <timeout_s> COMMAND...): a command as a test.
function(tandem_add_script_test name label timeout)
  add_test(NAME ${label}.${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  tandem_test_properties(${label}.${name} ${label} ${timeout})
endfunction()

function(tandem_test_properties test label timeout)
  set_tests_properties(
    ${test}
    PROPERTIES LABELS ${label}
               TIMEOUT ${timeout}
               FAIL_REGULAR_EXPRESSION "Sanitizer:;runtime error:"
               SKIP_REGULAR_EXPRESSION "Tested: 0 ")
endfunction()

# tandem_add_fuzz_target(<name> SOURCES... LIBRARIES... [INSTRUMENT...]): in every build the test fuzz.<name>_corpus
# over corpus/<name>; with clang and the address sanitizer also <name>_libfuzzer, which tools/fuzz runs. INSTRUMENT:
# the libraries whose branches guide it.
function(tandem_add_fuzz_target name)
  cmake_parse_arguments(FUZZ "" "" "SOURCES;LIBRARIES;INSTRUMENT" ${ARGN})
  tandem_add_plain_test(
    ${name}_corpus fuzz SOURCES ${FUZZ_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus.c LIBRARIES
    ${FUZZ_LIBRARIES} ARGUMENTS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang" OR NOT TANDEM_SANITIZE STREQUAL "address")
    return()
  endif()
  add_executable(${name}_libfuzzer ${FUZZ_SOURCES})
  target_compile_options(${name}_libfuzzer PRIVATE -fsanitize=fuzzer)
  target_link_options(${name}_libfuzzer PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name}_libfuzzer PRIVATE tandem_warnings ${FUZZ_LIBRARIES})
  set_target_properties(${name}_libfuzzer PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  foreach(library ${FUZZ_INSTRUMENT})
    target_compile_options(${library} PRIVATE -fsanitize=fuzzer-no-link)
  endforeach()
endfunction()
