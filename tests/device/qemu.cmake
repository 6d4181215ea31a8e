# What a real QEMU sends.
add_executable(qemu_stream ${CMAKE_CURRENT_SOURCE_DIR}/qemu_stream.c)
target_link_libraries(qemu_stream PRIVATE tandem_warnings tandem_qemu_core tandem_base)
set_target_properties(qemu_stream PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
tandem_add_device_test(qemu_stream 120 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_stream_test.py
                       all $<TARGET_FILE:qemu_stream>)
# A guest's epochs, taken out of a real QEMU and put into another.
add_executable(qemu_guest ${CMAKE_CURRENT_SOURCE_DIR}/qemu_guest.c)
target_link_libraries(qemu_guest PRIVATE tandem_warnings tandem_qemu PkgConfig::EVENT)
set_target_properties(qemu_guest PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
foreach(story restore held)
  tandem_add_device_test(qemu_guest_${story} 120 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_guest_test.py
                         ${story} $<TARGET_FILE:qemu_guest>)
endforeach()
# The guest of tests that need one (tests/guest).
tandem_add_device_test(guest 300 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/guest_test.py all
                       ${PROJECT_BINARY_DIR})
# A guest that is kept by a pair of nodes.
# What tools/quickstart --qemu shows.
tandem_add_device_test(qemu_story 300 /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/tests/e2e/qemu_story.py
                       --build ${PROJECT_BINARY_DIR})
# One that runs already.
foreach(story leave trial twice)
  tandem_add_device_test(qemu_attach_${story} 300 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_attach_test.py
                         ${story} ${PROJECT_BINARY_DIR}/bin)
endforeach()
foreach(story ahead late stop)
  tandem_add_device_test(qemu_pair_${story} 300 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_pair_test.py
                         ${story} ${PROJECT_BINARY_DIR}/bin)
endforeach()
# Killed hosts, and who hangs: some of what tests/qemu plays.
tandem_add_device_test(qemu_kills 300 /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/tests/qemu/run --rounds 1
                       --build ${PROJECT_BINARY_DIR})
tandem_add_device_test(qemu_stalls 300 /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/tests/qemu/stalls --build
                       ${PROJECT_BINARY_DIR} --row hung-page --row cut-state --row hung-standby-commit)
# What a kept guest sends.
foreach(story kill leave)
  tandem_add_device_test(qemu_gate_${story} 180 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_gate_test.py
                         ${story} ${PROJECT_BINARY_DIR})
endforeach()
add_executable(qemu_gate ${CMAKE_CURRENT_SOURCE_DIR}/qemu_gate.c)
target_link_libraries(qemu_gate PRIVATE tandem_warnings tandem_qemu PkgConfig::EVENT)
set_target_properties(qemu_gate PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
tandem_add_device_test(qemu_gate_lab 200 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_gate_lab_test.py all
                       ${PROJECT_BINARY_DIR})
# A guest whose RAM is shared with QEMU instead of being sent.
tandem_add_device_test(qemu_shared_kill 300 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/qemu_shared_test.py kill
                       ${PROJECT_BINARY_DIR})
