"""The life of a model host's process."""

import logging
import os
import signal
import sys
import threading
from functools import partial
from types import FrameType

from config import Settings
from domain.errors import ScriptoriumError
from engines.registry import get_loader, host_devices
from hosting.folder import Place, open_folder
from hosting.server import ModelHost
from model_pool import ModelPool, acquire_model

logger = logging.getLogger(__name__)

IDLE_SWEEP_S = 30.0
# A thread that waits for Python's lock asks for it this often. By default a caller's message
# delays the next decoder step by as much as the step takes.
SWITCH_S = 0.0005


def run_host(settings: Settings, place: int) -> None:
    """Hold the models of one device until no worker is there any more.

    Returns at once when another process holds the place, or there is no such device.
    """
    folder = open_folder(settings.run_path)
    with folder.held(place) as is_ours:
        if not is_ours:
            return
        devices = host_devices(get_loader(settings.whisper_engine, settings))
        if place >= len(devices):
            logger.warning("no_such_device", extra={"place": place, "devices": len(devices)})
            return
        pool = make_pool(settings, devices[place])
        for task in (_warm_up, _sweep):
            threading.Thread(target=task, args=(pool, settings), daemon=True).start()
        _serve(settings, place, pool, devices[place], len(devices))


def run_lonely_host(settings: Settings, name: str) -> None:
    """Hold a model for one caller: see `hosting.isolation`."""
    device = host_devices(get_loader(settings.whisper_engine, settings))[0]
    pool = make_pool(settings, device)
    _serve(settings, name, pool, device, 1)


def _serve(settings: Settings, place: Place, pool: ModelPool, device: str, devices: int) -> None:
    sys.setswitchinterval(SWITCH_S)
    host = ModelHost(
        open_folder(settings.run_path),
        place,
        lend=partial(acquire_model, pool=pool),
        describe=lambda: {"device": device, "devices": devices, "pool": pool.get_stats()},
        stuck_after_s=settings.kill_stuck_after_s,
    )
    _end_on_sigterm(host, settings.shutdown_grace_s)
    host.run()
    if host.is_stuck:
        logger.error("model_host_stuck", extra={"place": place})
        os._exit(1)  # a clean end would wait for the thread that hangs


def make_pool(settings: Settings, device: str) -> ModelPool:
    """The pool of the host of a device."""
    on_device = settings.model_copy(update={"device": device})
    return ModelPool(
        get_loader(settings.whisper_engine, on_device),
        capacity=settings.model_pool_size,
        max_capacity=settings.model_pool_max_size,
        max_mb=settings.model_pool_max_mb,
        idle_unload_s=settings.model_idle_unload_s,
    )


def _end_on_sigterm(host: ModelHost, grace_s: float) -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        # Whoever stops all processes at once stops the children, too: they hand their jobs back
        # after the window they are in.
        host.end(grace_s)

    signal.signal(signal.SIGTERM, stop)
    # A terminal's Ctrl-C is for the worker, whose children hand their jobs back first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _warm_up(pool: ModelPool, settings: Settings) -> None:
    try:
        pool.warm_up(settings.model_size)
    except ScriptoriumError:
        # The first job meets the same fault and reports it where the user looks.
        logger.exception("warm_up_failed", extra={"model_size": settings.model_size})


def _sweep(pool: ModelPool, _settings: Settings) -> None:
    pause = threading.Event()
    while True:
        pause.wait(IDLE_SWEEP_S)
        pool.unload_idle()
