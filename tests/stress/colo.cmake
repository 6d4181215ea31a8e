tandem_add_plain_test(stress_colo_pair stress SOURCES colo_pair.c LIBRARIES colo_lab ARGUMENTS 300)
tandem_add_plain_test(stress_colo_channels stress SOURCES colo_channels.c ../scenario/colo/breaker.c LIBRARIES
                      colo_lab ARGUMENTS 200)
target_link_options(stress_colo_channels PRIVATE -Wl,--wrap=tandem_transport_connect
                    -Wl,--wrap=tandem_session_free)
