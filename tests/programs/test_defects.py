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
    command = [sys.executable, str(script)]
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


def test_a_file_that_others_put_where_the_traceback_would_go_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    lines = "[Path(f'do_it.{os.getpid()}.traceback').symlink_to('theirs')]; 1 / 0"
    ended = run(tmp_path, lines)
    (kept,) = (path for path in tmp_path.glob("do_it.*.traceback") if not path.is_symlink())
    assert f"its traceback is in {kept.name}" in ended.stderr
    assert kept.stat().st_mode & 0o077 == 0
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_what_others_wrote_is_one_line_of_the_log_without_control_characters(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "do_it.log"
    evil = "a\r\n12:00:00 forged \x1b[2Jb\u202ec\u2028d\x85e"
    told = "a 12:00:00 forged \\x1b[2Jb\\u202ec d e"
    assert run(tmp_path, f"logging.info('%s', {evil!r}); raise Fault({evil!r})", log).returncode == 1
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [lines[0][9:], *lines[1:]] == [told, f"error: {told}"]
