# Man pages, made while building by tools/man-pages: of the library's functions from the installed headers, of a
# program from its --help. A build under a sanitizer has none.
find_package(Python3 COMPONENTS Interpreter)
set(TANDEM_MANUAL_DIRECTORY ${PROJECT_BINARY_DIR}/man)
set(TANDEM_PUBLIC_HEADERS ${PROJECT_SOURCE_DIR}/colo/include/tandem/tandem.h
                          ${PROJECT_SOURCE_DIR}/base/include/tandem/error_code.h)
set(manual_tool ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/man-pages)
set(manual_options --version ${PROJECT_VERSION} --output ${TANDEM_MANUAL_DIRECTORY})
set(manual_stamps "")

# tandem_add_manual(<program> <section> <about>)
function(tandem_add_manual program section about)
  set(page ${TANDEM_MANUAL_DIRECTORY}/man${section}/${program}.${section})
  add_custom_command(
    OUTPUT ${page}
    COMMAND ${manual_tool} program ${manual_options} --section ${section} --about ${about}
            $<TARGET_FILE:${program}>
    DEPENDS ${program} ${PROJECT_SOURCE_DIR}/tools/man-pages
    COMMENT "Writing ${program}(${section})"
    VERBATIM)
  set(manual_stamps ${manual_stamps} ${page} PARENT_SCOPE)
endfunction()

if(Python3_FOUND AND NOT TANDEM_SANITIZE)
  add_custom_command(
    OUTPUT ${TANDEM_MANUAL_DIRECTORY}/man3/libtandem.3
    COMMAND ${manual_tool} functions ${manual_options} ${TANDEM_PUBLIC_HEADERS}
    DEPENDS ${TANDEM_PUBLIC_HEADERS} ${PROJECT_SOURCE_DIR}/tools/man-pages
    COMMENT "Writing the library's man pages"
    VERBATIM)
  set(manual_stamps ${TANDEM_MANUAL_DIRECTORY}/man3/libtandem.3)
  tandem_add_manual(tandemd 8 "holds the copies of protected programs and starts them on promotion")
  tandem_add_manual(tandem-failoverd 8 "decides which node of a pair leads")
  tandem_add_manual(tandemctl 8 "shows and steers the pairs of a node")
  tandem_add_manual(tandem-qemu 8 "runs an unmodified QEMU whose guest Tandem keeps alive")
  tandem_add_manual(tandem-bench 1 "measures checkpoints, transport, fence and yank")
  tandem_add_manual(tandem-kv 1 "a server of the Redis protocol whose memory Tandem keeps alive")
  add_custom_target(tandem_manual ALL DEPENDS ${manual_stamps})
  install(DIRECTORY ${TANDEM_MANUAL_DIRECTORY}/ DESTINATION ${CMAKE_INSTALL_MANDIR})
elseif(NOT Python3_FOUND)
  message(STATUS "no Python 3: no man pages are made")
endif()
