"""How a script ends: one line for every fault, a defect's traceback in a file."""

import subprocess
import sys
from pathlib import Path

from popularity import program

SCRIPTS = Path(program.__file__).parents[1]


def run(folder: Path, body: str, log: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script with this body, its stderr in a log where one is given."""
    lines = ["import sys", f"sys.path.insert(0, {str(SCRIPTS)!r})", "from popularity.program import *"]
    script = folder / "do_it.py"
    script.write_text("\n".join([*lines, f"def main():\n    {body}", "run(main)"]))
    command = [sys.executable, script]
    environment = {"TMPDIR": str(folder)}
    if log is None:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=30
        )
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as file:
        return subprocess.run(
            command, cwd=folder, stdout=file, stderr=file, text=True, check=False, timeout=30
        )


def test_a_fault_is_one_line(tmp_path: Path) -> None:
    ended = run(tmp_path, "raise Fault('x.csv: line 3:\\n  is wrong')")
    assert (ended.returncode, ended.stderr) == (1, "error: x.csv: line 3: is wrong\n")


def test_a_defect_is_one_line_last_in_the_log_that_names_its_traceback(tmp_path: Path) -> None:
    log = tmp_path / "logs of it" / "do_it.log"
    assert run(tmp_path, "logging.info('begun'); {}['a\\nb']", log).returncode == 1
    begun, last = log.read_text().splitlines()
    assert begun.endswith("begun")
    assert last == (
        "error: KeyError 'a\\nb' (a defect of do_it.py, or of what it uses; its traceback is in "
        "logs of it/do_it.traceback)"
    )
    assert "Traceback" in (log.with_suffix(".traceback")).read_text()
    assert log.with_suffix(".traceback").read_text().endswith("KeyError: 'a\\nb'\n")


def test_a_defect_without_a_log_keeps_its_traceback_with_temporary_files(tmp_path: Path) -> None:
    ended = run(tmp_path, "1 / 0")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    (kept,) = tmp_path.glob("do_it.*.traceback")
    assert f"its traceback is in {kept.name}" in ended.stderr
    assert "ZeroDivisionError" in kept.read_text()
