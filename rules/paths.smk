"""Where the workflow's own files and its results are, also when another workflow imports it."""

import io
import os
import shutil
import tarfile
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config


def home(folder):
    """The folder of the workflow, of whose rules this is the folder, as a path that jobs can read.

    Relative to the working directory, so that a moved checkout finds its results up to date.
    Of an import from a git host (github, gitlab) the files are laid out below .snakemake.
    """
    if not hasattr(folder, "hosted_repo"):
        return Path(os.path.relpath(folder.get_path_or_uri(secret_free=True))).parent
    commit = folder.hosted_repo.repo.commit(folder.ref)
    # By the import's name: a new version of it reruns just what has changed.
    target = Path(".snakemake", "imported", __name__)
    mark = target.with_suffix(".commit")
    if not mark.exists() or mark.read_text(encoding="utf-8") != commit.hexsha:
        files = io.BytesIO()
        commit.repo.archive(files, commit.hexsha)
        files.seek(0)
        shutil.rmtree(target, ignore_errors=True)
        with tarfile.TarFile(fileobj=files) as archive:
            archive.extractall(target, filter="data")
        mark.write_text(commit.hexsha, encoding="utf-8")
    return target / os.path.dirname(folder.path)


def ours(*parts):
    """The path of a file of the workflow, which the prefix of an import leaves as it is."""
    return local(str(HOME.joinpath(*parts)))


def placed(path):
    """Where a file of the results is, with the prefix and path variables of an import."""
    return workflow.pathvars.apply(str(workflow.modifier.modify_path(path)))


HOME = home(workflow.current_basedir)
SCRIPTS = HOME / "scripts"
# Folders of the results and of the archives, for what Snakemake doesn't place itself.
RESULTS = placed("<results>")
RESOURCES = placed("<resources>")
IMPORTED = not workflow.modifier.is_main_snakefile()

# What an import gives as its config is merged into config.yaml, as a --configfile is.
if IMPORTED:
    given = config
    config = load_configfile(HOME / "config.yaml")
    update_config(config, given)
