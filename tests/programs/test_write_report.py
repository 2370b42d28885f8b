"""The report's file: nothing of the builder's machine and nobody's script comes into it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from workdir import ROOT, copy_workflow

EVIL = """Front page
==========

.. raw:: html

   <script>alert("evil")</script>

.. include:: {secret}

.. csv-table::
   :file: {secret}

.. raw:: html
   :file: {secret}
"""


def test_a_report_takes_in_no_html_and_no_file_that_its_texts_name(tmp_path: Path) -> None:
    # The workflow lies elsewhere.
    workflow = copy_workflow(tmp_path / "it's work & flow")
    work = tmp_path / "results of it"
    results = work / "results" / "demo"
    results.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret of the builder")
    (results / "front_page.rst").write_text(EVIL.format(secret=tmp_path / "secret.txt"))
    (results / "rejected.csv").write_text("file,line,reason,row\n")
    settings = {**json.loads((workflow / "small.json").read_text()), "dataset": "demo"}
    snakefile = os.path.relpath(workflow / "Snakefile", work)
    command: list[str | Path] = [sys.executable, ROOT / "scripts" / "write_report.py"]
    command += ["--snakefile", snakefile]
    command += ["--config", json.dumps(settings), "--style", workflow / "report" / "report.css"]
    command += ["--items", "results/demo/rejected.csv", "--report", results / "report.html"]
    ended = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "Front page" in report
    assert "Rows left out: 0" in report
    assert "<script>alert" not in report
    assert "secret of the builder" not in report
