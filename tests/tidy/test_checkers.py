#!/usr/bin/env python3
"""The checkers themselves: each finds what it is for, and leaves alone what is right."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import banned
import exports
import failpoints
import formatting
import headers
import layers
import length
import markers
import purity
import sentences
import sources

COMPILER = sys.argv[1] if len(sys.argv) > 1 else "cc"


class Tree(unittest.TestCase):
    """A small repository, without git."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def finds(self, found, *needles):
        mistakes, checked = found
        self.assertGreater(checked, 0)
        self.assertEqual(len(mistakes), len(needles), mistakes)
        for needle in needles:
            found = next((mistake for mistake in mistakes if needle in mistake), None)
            self.assertIsNotNone(found, (needle, mistakes))
            mistakes.remove(found)


class Sources(Tree):
    def test_blank_keeps_lines_and_code(self):
        text = 'a /* b\nc */ d // e\n"f\\"g" \'"\' h'
        self.assertEqual(sources.blank(text), 'a     \n     d     \n"    " \' \' h')
        self.assertIn('"f\\"g"', sources.blank(text, keep_strings=True))

    def test_files_of_git_only(self):
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.write("a.c", "")
        self.write("b.c", "")
        subprocess.run(["git", "-C", self.root, "add", "a.c"], check=True)
        self.assertEqual([str(path) for path in sources.files(self.root, "*.c")], ["a.c"])

    def test_files_without_git(self):
        self.write("x/a.c", "")
        self.write("build-x/b.c", "")
        self.assertEqual([str(path) for path in sources.files(self.root, "*.c")], ["x/a.c"])

    def test_looking_at_nothing_is_a_failure(self):
        self.assertEqual(sources.finish([], 0), 1)
        self.assertEqual(sources.finish([], 1), 0)
        self.assertEqual(sources.finish(["x"], 1), 1)


class Layers(Tree):
    def setUp(self):
        super().setUp()
        self.write("base/include/tandem/error.h", "")
        self.write("base/include/tandem/log.h", "")
        self.write("transport/include/tandem/transport.h", "#include <tandem/error.h>\n")
        self.write("failover/include/tandem/controller.h", "")

    def check(self, path, text, *needles):
        self.write(path, text)
        self.finds(layers.check(self.root), *needles)

    def test_good(self):
        self.write("colo/core/a.h", "")
        self.check(
            "colo/core/a.c",
            '#include "core/a.h"\n#include "a.h"\n#include <string.h>\n'
            "#include <tandem/transport.h>\n",
        )

    def test_arrows(self):
        self.check("failover/shell/a.c", "#include <tandem/transport.h>\n", "may not know")
        self.check("base/shell/a.c", "#include <tandem/controller.h>\n", "may not", "may not")

    def test_unknown_and_quoted(self):
        self.check("colo/a.c", "#include <tandem/none.h>\n", "no room has this header")
        self.check("colo/a.c", '#include "tandem/error.h"\n', "with <>")
        self.check("colo/a.c", '#include "none.h"\n', "no such file in this room")
        self.check("colo/a.c", '#include "../base/include/tandem/error.h"\n', "leaves the room")

    def test_cores(self):
        self.write("conf/shell/a.h", "")
        self.check("conf/core/a.c", "#include <stdio.h>\n", "may not see the system")
        self.check("conf/core/a.c", "#include <tandem/log.h>\n", "may not see this header")
        self.check("conf/core/a.c", '#include "shell/a.h"\n', "may not see a shell")

    def test_libraries(self):
        self.check("transport/tcp/a.c", "#include <infiniband/verbs.h>\n", "transport/rdma")
        self.check("transport/tcp/a.c", "#  include <rdma/rdma_cma.h>\n", "transport/rdma")
        self.check("transport/tcp/a.c", "#include <libconfig.h>\n", "conf/shell")
        self.check(
            "transport/tcp/a.c", "/* #include <libconfig.h>\n#include <libconfig.h> */\n"
        )
        self.check("node/include/tandem/n.h", "#include <event2/event.h>\n", "no library's types")


class Purity(Tree):
    def archive(self, name, text):
        source = self.write(f"{name}.c", text)
        built = self.root / f"{name}.o"
        subprocess.run([COMPILER, "-O0", "-c", source, "-o", built], check=True)
        archive = self.root / f"{name}.a"
        subprocess.run(["ar", "rc", archive, built], check=True)
        return archive

    def test_good(self):
        one = self.archive("one", "int one(void);\nint one(void) { return 1; }\n")
        two = self.archive(
            "two",
            "#include <string.h>\nint one(void);\nint two(const char *a);\n"
            "int two(const char *a) { return one() + (int)strlen(a); }\n",
        )
        self.finds(purity.check(one, two))
        self.finds(purity.check(two), "two.o uses one, which no core has")

    def test_clocks_and_allocators(self):
        bad = self.archive(
            "bad",
            "#include <stdlib.h>\n#include <time.h>\nvoid *bad(void);\n"
            "void *bad(void) { return malloc((size_t)time(0)); }\n",
        )
        self.finds(purity.check(bad), "uses malloc", "uses time")


class Headers(Tree):
    def check(self, text, *needles):
        self.write("base/include/tandem/a.h", text)
        self.finds(headers.check(self.root, COMPILER), *needles)

    def test_good(self):
        self.check("#ifndef A\n#define A\n#include <stddef.h>\nstruct a { size_t b; };\n#endif\n")

    def test_not_alone(self):
        self.check("#ifndef A\n#define A\nstruct a { size_t b; };\n#endif\n", "size_t")

    def test_not_twice(self):
        self.check("struct a { int b; };\n", "redefinition")


class Length(Tree):
    def check(self, lines, *needles):
        body = "\ta++;\n" * lines
        self.write("a.c", f"int a;\nvoid f(void)\n{{\n{body}}}\nstruct s {{\n{body}}};\n")
        self.finds(length.check(self.root), *needles)

    def test_at_the_limit(self):
        self.check(70)
        self.check(71, "a.c:3: a function of 71 lines")


class Banned(Tree):
    def check(self, path, text, *needles, allowed=None):
        self.write(path, text)
        self.finds(banned.check(self.root, allowed or {}), *needles)

    def test_calls(self):
        self.check(
            "colo/a.c",
            "void f(void) { sprintf(a, b); x = malloc (3); nanosleep(t, 0); strcpy(a, b); }\n",
            "sprintf(): write snprintf", "malloc(): write tandem_memory_*", "nanosleep()",
            "strcpy()",
        )

    def test_what_looks_like_calls(self):
        self.check(
            "colo/a.c",
            '/* free(x) */ "free(x)"; table->free(x); ops.free(x); tandem_memory_free(x);\n'
            "my_sleep(1); free_list(x);\n",
        )

    def test_base_may_allocate_and_tests_may_copy(self):
        self.check("base/shell/memory.c", "p = calloc(1, 2);\n")
        self.check("tests/unit/a.c", "strcpy(a, b); usleep(3);\n", "usleep()")

    def test_the_list_of_exceptions_is_counted(self):
        key = ("colo/a.c", "free")
        self.check("colo/a.c", "free(a);\n", allowed={key: 1})
        self.check("colo/a.c", "free(a); free(b);\n", "free()", allowed={key: 1})
        self.check("colo/a.c", "free(a);\n", "1 times, 2 are allowed", allowed={key: 2})


class Markers(Tree):
    def check(self, text, *needles, path="a.c"):
        self.write(path, text)
        self.finds(markers.check(self.root), *needles)

    def test_later(self):
        self.check("int a; /* TO" "DO: better */\n", "write an issue")
        self.check("# FIX" "ME\n", "write an issue", "write an issue", path="b.py")

    def test_code_in_comments(self):
        for dead in (
            "/* a = b + 1; */", "// tandem_call(a, b);", "/* if (a) { */", "// return a;",
            "/*\n * #include <x.h>\n */", "/* a->b[3] = c; */", "/* for (i = 0; i < n; i++) */",
        ):
            with self.subTest(dead=dead):
                self.check(dead + "\n", "code in a comment")

    def test_prose_in_comments(self):
        for prose in (
            "/* If the peer is gone, the session is lost; the epoch is not. */",
            "/* for the caller's thread only */",
            "/* 0, or a negative TANDEM_E_*; see error.h */",
            "/* magic = 0x1234 on the wire */",
            "/* return to the caller what was lent. */",
            "/* while PAIR, output waits */",
            "/* tandem_close() frees it */",
        ):
            with self.subTest(prose=prose):
                self.check(prose + "\n")


class Sentences(Tree):
    def check(self, document, code, *needles):
        self.write("docs/protocol.md", document)
        self.write("colo/a.c", code)
        self.finds(sentences.check(self.root), *needles)

    def test_cited(self):
        self.check("- [T1] One.\n- [C2] Two, as [T1] says.\n", "/* [T1]: why. [C2, T1] */\n")

    def test_not_cited(self):
        self.check("- [T1] One.\n- [C2] Two.\n", "/* [T1] */ int a[C2];\n", "[C2] is cited by no")

    def test_cited_but_not_there(self):
        self.check("- [T1] One.\n", "/* [T1] [T9] */\n", "colo/a.c:1: [T9] is no sentence")

    def test_twice(self):
        self.check("- [T1] One.\n- [T1] Again.\n", "/* [T1] */\n", "[T1] stands twice")

    def test_no_document_yet(self):
        self.finds(sentences.check(self.root))


class Formatting(Tree):
    def test_bad_and_good(self):
        self.write(".clang-format", "BasedOnStyle: LLVM\n")
        self.write("a.c", "int a;\n")
        self.finds(formatting.check(self.root))
        self.write("a.c", "int   a;\n")
        self.finds(formatting.check(self.root), "a.c:1: not as clang-format writes it")

    def test_without_the_program(self):
        self.write("a.c", "")
        self.finds(formatting.check(self.root, "clang-format-none"), "is not installed")


class Exports(Tree):
    def library(self, text):
        source, built = self.write("l.c", text), self.root / "l.so"
        subprocess.run(
            [COMPILER, "-shared", "-fPIC", "-fvisibility=hidden", source, "-o", built], check=True
        )
        return built

    def test_both_ways(self):
        api = '#define TANDEM_API __attribute__((visibility("default")))\n'
        self.write(exports.LIST, "tandem_a\ntandem_e\n")
        self.write(
            exports.HEADERS[0],
            api + "TANDEM_API int tandem_a(void);\nTANDEM_API TANDEM_MUST_CHECK int "
            "tandem_b(const char *x,\n int y);\n",
        )
        library = self.library(
            api + "TANDEM_API int tandem_a(void) { return 1; }\n"
            "TANDEM_API int tandem_c(void) { return 1; }\nint tandem_d(void) { return 1; }\n"
        )
        self.finds(
            exports.check(self.root, library),
            "tandem_b is declared, but not exported",
            "tandem_c is exported, but not declared",
            "tandem_c is exported, but not listed",
            "tandem_e is listed, but not exported",
        )


class Failpoints(Tree):
    ROWS = [("seal", "NOTHING", "a trailer is posted"), ("tracker", "ERROR", "before it")]
    DOCUMENT = "\n## Failpoints\n| `seal` | a trailer is posted |  |\n| `tracker` | before it | `error` |\n"

    def compare(self, rows=None, code=None, document=None):
        code = code or {"seal": ["a.c"], "tracker": ["b.c"]}
        return failpoints.compare(rows or self.ROWS, code, document or self.DOCUMENT)

    def test_table_and_passages_are_read(self):
        text = '\tX(seal, NOTHING, "a trailer is posted") \\\n\tX(tracker, ERROR, "before it")\n'
        self.assertEqual(failpoints.table(text), self.ROWS)
        text = ('TANDEM_FAILPOINT("one"); if (TANDEM_FAILPOINT_FIRES("two")) '
                '(void)tandem_failpoint_pass(is_done ? "three" : "four"); /* TANDEM_FAILPOINT("no") */')
        self.assertEqual(failpoints.passed(text), ["one", "two", "three", "four"])

    def test_what_agrees_is_left_alone(self):
        self.assertEqual(self.compare(), [])

    def test_what_one_place_lacks_is_named(self):
        self.assertIn("no code passes tracker", self.compare(code={"seal": ["a.c"]})[0])
        self.assertIn("c.c: the failpoint sael", self.compare(
            code={"seal": ["a.c"], "tracker": ["b.c"], "sael": ["c.c"]})[0])
        self.assertIn("lacks the line", self.compare(
            document=self.DOCUMENT.replace("before it", "after it"))[0])
        self.assertIn("gone is not in", self.compare(
            document=self.DOCUMENT + "| `gone` | somewhere |  |\n")[0])
        self.assertIn("seal stands twice", self.compare(rows=self.ROWS + self.ROWS[:1])[0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
