# The second line: a device that resets the node of a controller that does not run.
tandem_add_device_test(watchdog 300 /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/watchdog_test.py reset)
