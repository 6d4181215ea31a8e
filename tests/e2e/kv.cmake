# tandem-kv with stock clients, and behind a gate that the test holds.
# The scripts name /usr/bin/python3, because python3-redis is a Debian package.
tandem_add_script_test(kv_commands e2e 300 ${CMAKE_CURRENT_SOURCE_DIR}/kv_commands.py
                       $<TARGET_FILE:tandem-kv>)
tandem_add_script_test(kv_gate e2e 120 ${CMAKE_CURRENT_SOURCE_DIR}/kv_gate.py
                       $<TARGET_FILE:tandem-kv-fake>)
