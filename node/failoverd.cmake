tandem_add_program(tandem-failoverd failoverd.c failoverd_options.c configuration.c notify.c
                   privileges.c)
target_link_libraries(tandem-failoverd PRIVATE tandem_failover tandem_conf PkgConfig::EVENT)
install(TARGETS tandem-failoverd)
