"""Which model host a job goes to, where a machine has several devices."""

from collections.abc import Sequence
from typing import Any

CROWD = 16  # sessions more than elsewhere, from which on a second copy of a model pays


def choose_place(hosts: Sequence[dict[str, Any]], model_size: str) -> int | None:
    """The place of the host that has the model, the least busy one of several; without such a
    one, or where they are crowded, the least busy of all. None without any. `hosts` are
    statuses (see `ModelHost`).
    """
    if not hosts:
        return None
    least = min(host["sessions"] for host in hosts)

    def order(host: dict[str, Any]) -> tuple[bool, int, int]:
        has_model = model_size in host["pool"]["models_by_size"]
        is_crowded = host["sessions"] >= least + CROWD
        return (not has_model or is_crowded, host["sessions"], host["place"])

    place: int = min(hosts, key=order)["place"]
    return place
