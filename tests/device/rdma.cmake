# The rdma provider where there is a device.
function(add_rdma_device_program name)
  add_executable(${name} ${CMAKE_CURRENT_SOURCE_DIR}/${name}.c)
  target_link_libraries(${name} PRIVATE tandem_warnings ${ARGN})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endfunction()

add_rdma_device_program(rdma_peer tandem_transport tandem_base)

set(rdma_test ${CMAKE_CURRENT_SOURCE_DIR}/rdma_test.py)
foreach(story contract contract_linux_6_1 two_machines)
  tandem_add_device_test(rdma_${story} 900 /usr/bin/python3 -B ${rdma_test} ${story}
                         ${PROJECT_BINARY_DIR})
endforeach()
# Other channel counts: tools/nightly.

# Kills while the device reads the program's memory, and staging memory. At more places: tools/nightly.
tandem_add_device_test(rdma_exact 600 /usr/bin/python3 -B ${rdma_test} exact ${PROJECT_BINARY_DIR} 1
                       settle drain)

# Never stuck: programs of tests/stuck. More rounds by hand: -DTANDEM_DEVICE_ROUNDS=500.
set(TANDEM_DEVICE_ROUNDS 30 CACHE STRING "rounds of the races and of the leak counts on soft-RoCE")
foreach(story stuck stuck_linux_6_1)
  tandem_add_device_test(rdma_${story} 900 /usr/bin/python3 -B ${rdma_test} ${story}
                         ${PROJECT_BINARY_DIR} ${TANDEM_DEVICE_ROUNDS})
endforeach()
tandem_add_device_test(rdma_faults 900 /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/tests/stuck/run rdma
                       --build ${PROJECT_BINARY_DIR})
