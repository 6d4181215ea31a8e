tandem_add_program(
  tandemctl
  tandemctl.c
  tandemctl_check.c
  tandemctl_client.c
  tandemctl_config.c
  tandemctl_doctor.c
  doctor_gather.c
  doctor_judge.c
  doctor_kernel.c
  doctor_probe.c
  doctor_process.c
  live.c
  live_command.c
  live_probe.c
  tandemctl_help.c
  tandemctl_needs.c
  tandemctl_orders.c
  tandemctl_outcome.c
  json_text.c
  tandemctl_qemu.c
  qemu_command.c
  tandemctl_events.c
  tandemctl_show.c
  tandemctl_status.c
  failoverd_options.c)
target_compile_definitions(tandemctl PRIVATE TANDEM_VERSION="${PROJECT_VERSION}")
target_link_libraries(tandemctl PRIVATE tandem_failover tandem_conf tandem_transport tandem_qemu_core
                                        PkgConfig::JSON)
install(TARGETS tandemctl)
