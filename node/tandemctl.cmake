tandem_add_program(
  tandemctl
  tandemctl.c
  tandemctl_check.c
  tandemctl_client.c
  tandemctl_config.c
  tandemctl_help.c
  tandemctl_needs.c
  tandemctl_orders.c
  tandemctl_show.c
  failoverd_options.c)
target_compile_definitions(tandemctl PRIVATE TANDEM_VERSION="${PROJECT_VERSION}")
target_link_libraries(tandemctl PRIVATE tandem_failover tandem_conf PkgConfig::JSON)
install(TARGETS tandemctl)
