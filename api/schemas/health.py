"""Whether the service lives, and how it fares."""

from marshmallow import Schema, fields


class AliveSchema(Schema):
    """The process answers."""

    status = fields.String(required=True, metadata={"enum": ["ok"]})


class CheckSchema(Schema):
    """One thing that the service needs."""

    ok = fields.Boolean(required=True)
    detail = fields.String(allow_none=True)


class ReadySchema(Schema):
    """Every thing that the service needs."""

    status = fields.String(required=True, metadata={"enum": ["ready"]})
    checks = fields.Dict(keys=fields.String(), values=fields.Nested(CheckSchema), required=True)


class WorkerProcessSchema(Schema):
    """One child of a worker."""

    pid = fields.Integer(required=True)
    job_id = fields.UUID(required=True, allow_none=True)


class WorkerSchema(Schema):
    """A worker that reported lately."""

    worker = fields.String(
        required=True, metadata={"description": "Host and process id of its main process"}
    )
    queues = fields.List(fields.String(), required=True)
    takes_jobs = fields.Boolean(
        required=True,
        metadata={
            "description": "False when it stays idle (`DEAF_AFTER_S`) though jobs wait for it"
        },
    )
    problem = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it takes no jobs"}
    )
    slots = fields.Integer(required=True)
    busy = fields.Integer(required=True)
    seen_at = fields.AwareDateTime(required=True)
    processes = fields.List(fields.Nested(WorkerProcessSchema), required=True)


class AdminHealthSchema(Schema):
    """How the whole installation fares."""

    status = fields.String(required=True, metadata={"enum": ["healthy", "degraded"]})
    checks = fields.Dict(keys=fields.String(), values=fields.Nested(CheckSchema), required=True)
    database = fields.Dict(
        required=True, metadata={"description": "Connections of this process's pool"}
    )
    queues = fields.Dict(
        required=True,
        metadata={"description": "Jobs that wait and run, the oldest's age, depths at the broker"},
    )
    workers = fields.List(fields.Nested(WorkerSchema), required=True)
    model_hosts = fields.List(
        fields.Dict(),
        required=True,
        metadata={
            "description": "The processes that hold the models, one per device: machine, place, "
            "device, pid, sessions (models lent), pool"
        },
    )
    model_pool = fields.Dict(
        required=True,
        metadata={
            "description": "Of the model hosts, added up: hits, misses, evictions, oom_fallbacks, "
            "hit_rate, loaded models with their memory"
        },
    )
    errors_1h = fields.Integer(required=True, metadata={"description": "Jobs given up"})
    retries_1h = fields.Integer(required=True)
    error_rate_1h = fields.Float(
        required=True, allow_none=True, metadata={"description": "Given up, of those that ended"}
    )
    unresolved_errors = fields.Integer(required=True)
