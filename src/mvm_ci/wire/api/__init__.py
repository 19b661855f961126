"""The HTTP API's requests and answers, as JSON. The server decodes and the client encodes with these same
types.

Job ids and digests are text; times are Unix milliseconds; errors are ``Problem`` (RFC 9457,
``application/problem+json``) whose
``code`` is one of the codes in ``mvm_ci.domain.errors``.
"""

from mvm_ci.wire.api.access import AuditList as AuditList
from mvm_ci.wire.api.access import AuditView as AuditView
from mvm_ci.wire.api.access import CreateNamespace as CreateNamespace
from mvm_ci.wire.api.access import CreateToken as CreateToken
from mvm_ci.wire.api.access import NamespaceList as NamespaceList
from mvm_ci.wire.api.access import NamespaceView as NamespaceView
from mvm_ci.wire.api.access import SetQuota as SetQuota
from mvm_ci.wire.api.access import TokenList as TokenList
from mvm_ci.wire.api.access import TokenView as TokenView
from mvm_ci.wire.api.access import WhoAmI as WhoAmI
from mvm_ci.wire.api.artifacts import ArtifactList as ArtifactList
from mvm_ci.wire.api.artifacts import ArtifactView as ArtifactView
from mvm_ci.wire.api.artifacts import UploadView as UploadView
from mvm_ci.wire.api.events import EventView as EventView
from mvm_ci.wire.api.jobs import DAMAGE as DAMAGE
from mvm_ci.wire.api.jobs import AfterSpec as AfterSpec
from mvm_ci.wire.api.jobs import BackoffSpec as BackoffSpec
from mvm_ci.wire.api.jobs import BulkRequest as BulkRequest
from mvm_ci.wire.api.jobs import BulkResult as BulkResult
from mvm_ci.wire.api.jobs import CancelView as CancelView
from mvm_ci.wire.api.jobs import ChangeView as ChangeView
from mvm_ci.wire.api.jobs import ConcurrencySpec as ConcurrencySpec
from mvm_ci.wire.api.jobs import Explanation as Explanation
from mvm_ci.wire.api.jobs import FailureView as FailureView
from mvm_ci.wire.api.jobs import ForkJob as ForkJob
from mvm_ci.wire.api.jobs import JobList as JobList
from mvm_ci.wire.api.jobs import JobSelection as JobSelection
from mvm_ci.wire.api.jobs import JobView as JobView
from mvm_ci.wire.api.jobs import JournalEntry as JournalEntry
from mvm_ci.wire.api.jobs import LogLine as LogLine
from mvm_ci.wire.api.jobs import LogRange as LogRange
from mvm_ci.wire.api.jobs import ProgressView as ProgressView
from mvm_ci.wire.api.jobs import QueueList as QueueList
from mvm_ci.wire.api.jobs import QueueView as QueueView
from mvm_ci.wire.api.jobs import Reason as Reason
from mvm_ci.wire.api.jobs import SubmitJob as SubmitJob
from mvm_ci.wire.api.jobs import SubmitJobs as SubmitJobs
from mvm_ci.wire.api.jobs import Submitted as Submitted
from mvm_ci.wire.api.keys import LimitList as LimitList
from mvm_ci.wire.api.keys import LimitView as LimitView
from mvm_ci.wire.api.limits import API_PORT as API_PORT
from mvm_ci.wire.api.limits import MAX_BODY as MAX_BODY
from mvm_ci.wire.api.limits import MAX_INPUT as MAX_INPUT
from mvm_ci.wire.api.limits import MAX_JOBS_PER_REQUEST as MAX_JOBS_PER_REQUEST
from mvm_ci.wire.api.limits import MAX_LINES as MAX_LINES
from mvm_ci.wire.api.limits import MAX_MAIL_BODY as MAX_MAIL_BODY
from mvm_ci.wire.api.limits import MAX_PAGE as MAX_PAGE
from mvm_ci.wire.api.limits import MAX_SCHEDULED_JOB as MAX_SCHEDULED_JOB
from mvm_ci.wire.api.limits import MAX_WAIT_S as MAX_WAIT_S
from mvm_ci.wire.api.mail import CompletePromise as CompletePromise
from mvm_ci.wire.api.mail import MessageSpec as MessageSpec
from mvm_ci.wire.api.mail import MessageView as MessageView
from mvm_ci.wire.api.mail import PromiseView as PromiseView
from mvm_ci.wire.api.modules import ModuleList as ModuleList
from mvm_ci.wire.api.modules import ModuleVersionList as ModuleVersionList
from mvm_ci.wire.api.modules import ModuleVersionView as ModuleVersionView
from mvm_ci.wire.api.modules import ModuleView as ModuleView
from mvm_ci.wire.api.modules import PutModuleVersion as PutModuleVersion
from mvm_ci.wire.api.plane import Status as Status
from mvm_ci.wire.api.plane import Ticket as Ticket
from mvm_ci.wire.api.problems import Problem as Problem
from mvm_ci.wire.api.schedules import Backfill as Backfill
from mvm_ci.wire.api.schedules import Backfilled as Backfilled
from mvm_ci.wire.api.schedules import PutSchedule as PutSchedule
from mvm_ci.wire.api.schedules import Removed as Removed
from mvm_ci.wire.api.schedules import ScheduleList as ScheduleList
from mvm_ci.wire.api.schedules import ScheduleTimes as ScheduleTimes
from mvm_ci.wire.api.schedules import ScheduleView as ScheduleView
from mvm_ci.wire.api.schedules import Triggered as Triggered
from mvm_ci.wire.api.secrets import AllowModules as AllowModules
from mvm_ci.wire.api.secrets import RotateSecret as RotateSecret
from mvm_ci.wire.api.secrets import SecretList as SecretList
from mvm_ci.wire.api.secrets import SecretView as SecretView
from mvm_ci.wire.api.secrets import SetSecret as SetSecret
from mvm_ci.wire.api.workers import CreateJoinToken as CreateJoinToken
from mvm_ci.wire.api.workers import JoinTokenList as JoinTokenList
from mvm_ci.wire.api.workers import JoinTokenView as JoinTokenView
from mvm_ci.wire.api.workers import WorkerList as WorkerList
from mvm_ci.wire.api.workers import WorkerView as WorkerView
