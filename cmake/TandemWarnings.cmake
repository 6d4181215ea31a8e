# Every target of the project links this: the warnings, as errors in the presets that say so.
option(TANDEM_WERROR "Warnings are errors" OFF)

add_library(tandem_warnings INTERFACE)
target_compile_options(
  tandem_warnings
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wstrict-prototypes
            -Wmissing-prototypes
            -Wpointer-arith
            -Wwrite-strings
            -Wundef
            -Wvla
            -Wconversion
            -Wno-sign-conversion
            -Wswitch-enum
            -fno-common
            $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> # texts of fixed size are cut on purpose
            $<$<BOOL:${TANDEM_WERROR}>:-Werror>)
target_compile_definitions(tandem_warnings INTERFACE _GNU_SOURCE)
