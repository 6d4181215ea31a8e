tandem_add_plain_test(stress_colo_pair stress SOURCES colo_pair.c LIBRARIES colo_lab ARGUMENTS 300)
