tandem_add_program(tandemd tandemd.c ahead.c children.c configuration.c environment.c file_mark.c greeter.c
                   qemu_match.c json_text.c)
target_link_libraries(tandemd PRIVATE tandem_colo tandem_conf PkgConfig::EVENT PkgConfig::JSON)
install(TARGETS tandemd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
