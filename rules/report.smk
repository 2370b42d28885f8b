"""The report: its front page, tables, what the jobs took and with which software, in one file.

Each is work of seconds, not worth a job of the cluster: hence the local rules.
"""

# Tables of the report: category, label, title.
TABLES = {
    "leaderboard": (
        "3 Comparison",
        "2 Leaderboard as a table",
        "Scores on the test slots",
    ),
    "leaderboard_by_class": (
        "3 Comparison",
        "3 Leaderboard by class of movies",
        "Scores on the test slots by class of movies",
    ),
    "forecast": (
        "4 Forecast",
        "1 Forecast as a table",
        "Movies to expect in the next slot",
    ),
    "cache": ("5 Cache", "2 Hit ratios as a table", "Hit ratio of each cache"),
    "runtimes": (
        "6 Runtime",
        "2 Time and memory as a table",
        "Time and memory of each rule's jobs",
    ),
    "software": ("6 Runtime", "3 Software versions", "Software of each environment"),
}
CAPTIONS = sorted(
    path.stem for path in (HOME / "report").glob("*.rst") if path.stem != "workflow"
)
ENVIRONMENTS = ["cache", "data", "model", "plot", "report"]


rule write_table:
    """Write a table as a page of HTML, to be sorted by its columns."""
    input:
        code=code("write_table"),
        table=lambda wildcards: (
            expand(
                "<results>/{{dataset}}/software/{environment}.csv",
                environment=ENVIRONMENTS,
            )
            if wildcards.table == "software"
            else "<results>/{dataset}/{table}.csv"
        ),
    output:
        page=report(
            "<results>/{dataset}/tables/{table}.html",
            caption=caption("table"),
            category=lambda wildcards: TABLES[wildcards.table][0],
            labels=lambda wildcards: {"picture": put(TABLES[wildcards.table][1])},
        ),
    log:
        "<results>/{dataset}/logs/write_table/{table}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/write_table/{table}.tsv"
    wildcard_constraints:
        table="|".join(TABLES),
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        title=lambda wildcards: TABLES[wildcards.table][2],
        words=words,
    shell:
        "python {input.code[0]:q}"
        " --table {input.table:q}"
        " --title {params.title:q}"
        " --words {params.words:q}"
        " --page {output.page:q}"
        " > {log:q} 2>&1"


rule list_software:
    """List the versions of an environment's software."""
    input:
        code=code("list_software"),
        environment=ours("envs", "{environment}.yaml"),
    output:
        software="<results>/{dataset}/software/{environment}.csv",
    log:
        "<results>/{dataset}/logs/list_software/{environment}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/list_software/{environment}.tsv"
    wildcard_constraints:
        environment="|".join(ENVIRONMENTS),
    localrule: True
    conda:
        "../envs/{environment}.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.code[0]:q}"
        " --environment {input.environment:q}"
        " --software {output.software:q}"
        " > {log:q} 2>&1"


rule plot_runtimes:
    """Show the time and memory of all jobs but the report's own."""
    input:
        code=code("plot_runtimes"),
        results=results_shown,
    output:
        runtimes="<results>/{dataset}/runtimes.csv",
        pictures=pictures({"runtimes": "1 Time and memory by rule"}, "6 Runtime"),
    log:
        "<results>/{dataset}/logs/plot_runtimes.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_runtimes.tsv"
    localrule: True
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        folder=plots_folder,
        benchmarks=lambda wildcards: f"{RESULTS}/{wildcards.dataset}/benchmarks",
        trained=sorted([*MODELS, *LEARNERS]),
        seeds=sorted(settings.seeds),
        folds=len(FOLDS),
    shell:
        "python {input.code[0]:q}"
        " --benchmarks {params.benchmarks:q}"
        " --trained {params.trained:q}"
        " --seeds {params.seeds:q}"
        " --folds {params.folds:q}"
        " --dataset {wildcards.dataset:q}"
        " --table {output.runtimes:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule write_front_page:
    """Write the report's front page from the results."""
    input:
        code=code("write_front_page"),
        template=ours("report", "workflow.rst"),
        joined="<results>/{dataset}/joined.parquet",
        labelled="<results>/{dataset}/labelled.parquet",
        leaderboard="<results>/{dataset}/leaderboard.csv",
        best="<results>/{dataset}/best.csv",
        forecast="<results>/{dataset}/forecast.csv",
        check="<results>/{dataset}/forecast_check.json",
        hit_ratios="<results>/{dataset}/cache.csv",
        metrics="<results>/{dataset}/baselines/metrics.json",
        rejected="<results>/{dataset}/rejected.csv",
        facts=log_facts(),
    output:
        page="<results>/{dataset}/front_page.rst",
    log:
        "<results>/{dataset}/logs/write_front_page.log",
    benchmark:
        "<results>/{dataset}/benchmarks/write_front_page.tsv"
    localrule: True
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        slot=slot,
        split=canonical(settings.split),
        model=settings.forecast.model,
        mixture=[] if MIXTURE is None else ["--mixture", MIXTURE],
        words=words,
    shell:
        "python {input.code[0]:q}"
        " --template {input.template:q}"
        " --joined {input.joined:q}"
        " --labelled {input.labelled:q}"
        " --leaderboard {input.leaderboard:q}"
        " --best {input.best:q}"
        " --model {params.model:q}"
        " --forecast {input.forecast:q}"
        " --check {input.check:q}"
        " --hit-ratios {input.hit_ratios:q}"
        " --metrics {input.metrics:q}"
        " {params.mixture:q}"
        " --rejected {input.rejected:q}"
        " --facts {input.facts:q}"
        " --words {params.words:q}"
        " --dataset {wildcards.dataset:q}"
        " --slot {params.slot:q}"
        " --split {params.split:q}"
        " --page {output.page:q}"
        " > {log:q} 2>&1"


rule write_captions:
    """Write the captions in the words of the log."""
    input:
        code=code("write_captions"),
        captions=[ours("report", f"{name}.rst") for name in CAPTIONS],
    output:
        captions=[f"<results>/{{dataset}}/captions/{name}.rst" for name in CAPTIONS],
    log:
        "<results>/{dataset}/logs/write_captions.log",
    benchmark:
        "<results>/{dataset}/benchmarks/write_captions.tsv"
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        captions=lambda wildcards: f"{RESULTS}/{wildcards.dataset}/captions",
        words=words,
    shell:
        "python {input.code[0]:q}"
        " --captions {input.captions:q}"
        " --words {params.words:q}"
        " --folder {params.captions:q}"
        " > {log:q} 2>&1"


rule write_report:
    """Put the pictures and tables into one HTML file that needs nothing else."""
    input:
        code=code("write_report"),
        results=results_shown,
        runtimes="<results>/{dataset}/plots/runtimes.png",
        tables=expand("<results>/{{dataset}}/tables/{table}.html", table=TABLES),
        front_page="<results>/{dataset}/front_page.rst",
        captions=[f"<results>/{{dataset}}/captions/{name}.rst" for name in CAPTIONS],
        style=ours("report", "report.css"),
    output:
        report="<results>/{dataset}/report.html",
    log:
        "<results>/{dataset}/logs/write_report.log",
    benchmark:
        "<results>/{dataset}/benchmarks/write_report.tsv"
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        config=uncompared(report_config),
        compared=digest(report_config),
        snakefile=ours("Snakefile"),
    shell:
        "python {input.code[0]:q}"
        " --snakefile {params.snakefile:q}"
        " --config {params.config:q}"
        " --style {input.style:q}"
        " --items {input.results:q} {input.runtimes:q} {input.tables:q}"
        " --report {output.report:q}"
        " > {log:q} 2>&1"
