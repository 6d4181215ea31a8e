# The lab itself.
set(lab_test ${CMAKE_CURRENT_SOURCE_DIR}/lab_test.py)
set(lab_sources_test ${CMAKE_CURRENT_SOURCE_DIR}/lab_sources_test.py)
tandem_add_device_test(lab_sources 60 /usr/bin/python3 -B ${lab_sources_test})
tandem_add_device_test(lab_one_linux_6_1 300 /usr/bin/python3 -B ${lab_test} one_linux_6_1)
tandem_add_device_test(lab_command 300 /usr/bin/python3 -B ${lab_test} command)
tandem_add_device_test(lab_end 120 /usr/bin/python3 -B ${lab_test} end)
tandem_add_device_test(lab_two 600 /usr/bin/python3 -B ${lab_test} two)
