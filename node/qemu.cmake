tandem_add_program(tandem-qemu qemu.c qemu_ahead.c configuration.c file_mark.c qemu_command.c qemu_forward.c qemu_gates.c qemu_hand.c qemu_identity.c qemu_inject.c qemu_keeper.c qemu_leash.c qemu_note.c qemu_options.c qemu_process.c
                   qemu_shared.c qemu_trial.c qemu_watch.c qemu_words.c)
target_link_libraries(tandem-qemu PRIVATE tandem_library tandem_qemu tandem_conf PkgConfig::EVENT
                                          PkgConfig::JSON)
install(TARGETS tandem-qemu)
