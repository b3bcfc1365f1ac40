from __future__ import annotations

import textwrap
from pathlib import Path

from asyncio_pprof.pprof.heap import Functions
from asyncio_pprof.pprof.stacks import Modules


def test_the_function_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        textwrap.dedent(
            """\
            held = []
            class Holder:
                def hold(self):
                    def inner():
                        return [1, 2]
                    return inner()
            """
        )
    )
    functions = Functions(Modules([str(tmp_path)]))
    names = [functions.at(str(file), line).function for line in (1, 4, 5, 6)]
    assert names == [
        "module.<module>",
        "module.Holder.hold",
        "module.Holder.hold.<locals>.inner",
        "module.Holder.hold",
    ]
    assert functions.at(str(file), 5).start == 4


def test_a_file_without_source_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def")
    functions = Functions(Modules([str(tmp_path)]))
    assert functions.at("<frozen zipimport>", 3).function == "zipimport"
    assert functions.at(str(tmp_path / "broken.py"), 3).function == "broken"
    assert functions.at(str(tmp_path / "gone.py"), 3).function == "gone"
