"""Trains on each day's rows, by the project's own command: docs/orchestrators.md.

A run of the DAG has a data interval, and its first day is the last span that is read (`--set until=`). So a run for a
day of the past reads what there was then. A backfill pushes into a directory of its own, and leaves the served model
alone. Airflow runs in an environment of its own, and only calls; the two share no package.
"""

import os
import shlex
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG, BaseOperator, Param
from airflow.timetables.interval import CronDataIntervalTimetable

TWINBEAM = shlex.split(os.environ.get("TWINBEAM", "twinbeam"))
"""The command, in its own environment."""
FEATURES = os.environ.get("TWINBEAM_FEATURES", "schema/taxi/features.yaml")
DATA = os.environ.get("TWINBEAM_DATA", "/data/trips-{YYYY}-{MM}-{DD}.csv")
OUTPUT = os.environ.get("TWINBEAM_OUTPUT", "/var/lib/twinbeam")
SCHEDULE = os.environ.get("TWINBEAM_SCHEDULE", "@daily")
SPANS = int(os.environ.get("TWINBEAM_SPANS", "28"))
HOME = os.environ.get("TWINBEAM_HOME", os.getcwd())  # noqa: PTH109
"""Where the command runs: relative paths are from here."""

AGAIN = frozenset({1, 7, 8, 10, 11, 130})
"""Exit codes after which another try may do: unexpected, disk full, busy, store or source away, interrupted. After the
others (declaration, data, anomalies, not blessed, features that differ) somebody has to mend something."""

DAY = "{{ data_interval_start | ds }}"
PLACE = "{{ params.output }}{% if dag_run.run_type == 'backfill' %}/backfill/{{ data_interval_start | ds }}{% endif %}"
ROWS = (
    "{{ params.data.replace('{YYYY}', data_interval_start.strftime('%Y'))"
    ".replace('{MM}', data_interval_start.strftime('%m')).replace('{DD}', data_interval_start.strftime('%d'))"
    ".replace('{VERSION}', '*') }}"
)
SCORES = f"{PLACE}/scores/{DAY}/{{{{ ti.try_number }}}}"


class Twinbeam(BaseOperator):
    """One command; its exit code says whether another try may do."""

    template_fields = ("arguments",)

    def __init__(self, *, arguments: list[str], **kwargs) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self.hook = SubprocessHook()

    def execute(self, context) -> str:
        """Returns the last line that the command printed.

        Raises:
          AirflowException: It failed, and may be tried again.
          AirflowFailException: It failed, and would again.
        """
        done = self.hook.run_command([*TWINBEAM, *self.arguments], cwd=HOME)
        if done.exit_code == 0:
            return done.output
        said = f"twinbeam {self.arguments[0]} ended with {done.exit_code}: {done.output}"
        raise (AirflowException if done.exit_code in AGAIN else AirflowFailException)(said)

    def on_kill(self) -> None:
        """Lets the command end as by Ctrl-C: nothing half-written stays."""
        self.hook.send_sigterm()


with DAG(
    dag_id="twinbeam",
    description=__doc__.partition("\n")[0],
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
    start_date=datetime(2013, 1, 1),
    catchup=False,
    max_active_runs=1,  # one output directory, one run
    params={
        "data": Param(DATA, type="string", description="A pattern with {YYYY}, {MM} and {DD}."),
        "spans": Param(SPANS, type="integer", minimum=1, description="How many of the latest days to read."),
        "output": Param(OUTPUT, type="string", description="Where runs are kept and the model is pushed."),
    },
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["twinbeam"],
) as dag:
    declared = ["--features", FEATURES]
    until_then = ["--set", 'data="{{ params.data }}"', "--set", "spans={{ params.spans }}", "--set", f"until={DAY}"]

    validate = Twinbeam(
        task_id="validate",
        arguments=["validate", *declared],
        execution_timeout=timedelta(minutes=5),
    )
    rows = BashSensor(
        task_id="rows",
        bash_command=f"compgen -G '{ROWS}' > /dev/null",
        mode="reschedule",
        poke_interval=300,
        timeout=timedelta(hours=12).total_seconds(),
    )
    train = Twinbeam(
        task_id="train",
        arguments=["run", *declared, *until_then, "--output", PLACE, "--json"],
        execution_timeout=timedelta(hours=6),
    )
    score = Twinbeam(
        task_id="score",
        arguments=["predict", *declared, *until_then, "--output", PLACE, "--requests", ROWS, "--to", SCORES],
        execution_timeout=timedelta(hours=1),
    )
    [validate, rows] >> train >> score
