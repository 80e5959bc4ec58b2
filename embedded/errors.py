from domain.errors import ScriptoriumError


class ServiceFailed(ScriptoriumError):
    """A child process did not start, or ended before it was ready."""


class StopRequested(Exception):
    """Ctrl-C, SIGTERM or SIGHUP arrived while the services were starting: not an error."""
