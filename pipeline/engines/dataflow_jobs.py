"""What is asked of Dataflow beside running a pipeline: which job has a name, and that it be drained."""

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import dataflow

from modules.spec import InputError, SourceUnavailable
from pipeline.engines.dataflow import DataflowSettings

_LIVE = (
    dataflow.JobState.JOB_STATE_RUNNING,
    dataflow.JobState.JOB_STATE_PENDING,
    dataflow.JobState.JOB_STATE_QUEUED,
    dataflow.JobState.JOB_STATE_DRAINING,
)


def running_job(settings: DataflowSettings, name: str) -> str:
    """The id of the job of that name that has not ended.

    Raises:
      InputError: There is none.
      SourceUnavailable: Dataflow does not answer.
    """
    request = dataflow.ListJobsRequest(
        project_id=settings.project, location=settings.region, filter=dataflow.ListJobsRequest.Filter.ACTIVE
    )
    try:
        found = [
            job.id for job in _client(settings).list_jobs(request) if job.name == name and job.current_state in _LIVE
        ]
    except (GoogleAPIError, GoogleAuthError) as error:
        raise SourceUnavailable(f"Dataflow in {settings.project}, {settings.region}: {error}") from None
    if not found:
        raise InputError(
            f"no job {name} is running in {settings.project}, {settings.region}. Look at the names with `gcloud "
            "dataflow jobs list --status=active`."
        )
    return found[0]


def drain(settings: DataflowSettings, job_id: str) -> None:
    """Asks for the end of a job once what it has read is done.

    Raises:
      SourceUnavailable: Dataflow does not answer, or refuses.
    """
    request = dataflow.UpdateJobRequest(
        project_id=settings.project,
        location=settings.region,
        job_id=job_id,
        job=dataflow.Job(requested_state=dataflow.JobState.JOB_STATE_DRAINING),
    )
    try:
        _client(settings).update_job(request)
    except (GoogleAPIError, GoogleAuthError) as error:
        raise SourceUnavailable(f"Dataflow in {settings.project}, {settings.region}: {error}") from None


def _client(settings: DataflowSettings) -> dataflow.JobsV1Beta3Client:
    if settings.endpoint is None:
        return dataflow.JobsV1Beta3Client()
    options = ClientOptions(api_endpoint=settings.endpoint)
    return dataflow.JobsV1Beta3Client(credentials=AnonymousCredentials(), client_options=options, transport="rest")
